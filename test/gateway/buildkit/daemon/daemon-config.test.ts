import { parse } from 'smol-toml'
import { expect, test } from 'vitest'
import { cacheBytes } from '../../../../gateway/src/buildkit/cache/cache-limits.ts'
import { configText } from '../../../../gateway/src/buildkit/daemon/daemon-config.ts'
import type { DaemonSettings } from '../../../../gateway/src/buildkit/daemon/daemon-settings.ts'
import { groupOf, runcWithLimits } from '../../../../gateway/src/buildkit/daemon/step-limits.ts'

const settings: DaemonSettings = {
  command: '/opt/buildkitd',
  dir: '/run/ta "rmac"',
  root: '/data/build\\kit',
  bridge: { name: 'tarmac0', subnet: '172.30.0.0/16' },
  nameservers: ['1.1.1.1', '2606:4700:4700::1111'],
  mirrors: { 'docker.io': ['mirror.test:5000', 'other.test'], 'ghcr.io': [] },
  plainHttp: ['127.0.0.1:5000', 'docker.io'],
  steps: 3,
  limits: { memory: { share: 0.5 }, memoryOfAll: { share: 0.8 }, processes: 100, cpus: 0 },
  stepLogBytes: 1000,
  cache: {
    size: { share: 0.8 },
    perApp: { share: 0.5 },
    days: 1.5,
    minFree: { share: 0.15 },
  },
}
const space = { freeBytes: 0, sizeBytes: 1000, freeFiles: 0, sizeFiles: 0 }
const bytes = cacheBytes(settings.cache, space)

test('the daemon gets every setting, with the sockets and programs of the gateway', () => {
  expect(parse(configText(settings, bytes))).toEqual({
    root: '/data/build\\kit',
    log: { format: 'json', level: 'warn' },
    grpc: { address: ['unix:///run/ta "rmac"/buildkitd-first.sock'] },
    otel: { socketPath: '/run/ta "rmac"/buildkitd-otel.sock' },
    cdi: { disabled: true },
    dns: { nameservers: ['1.1.1.1', '2606:4700:4700::1111'] },
    worker: {
      containerd: { enabled: false },
      oci: {
        snapshotter: 'auto',
        networkMode: 'bridge',
        bridgeName: 'tarmac0',
        bridgeSubnet: '172.30.0.0/16',
        'max-parallelism': 3,
        binary: runcWithLimits,
        defaultCgroupParent: groupOf('/data/build\\kit'),
        gcpolicy: [
          { all: true, keepDuration: '36h', maxUsedSpace: '200' },
          { all: true, maxUsedSpace: '800', minFreeSpace: '150', reservedSpace: '200' },
        ],
      },
    },
    registry: {
      'docker.io': { mirrors: ['mirror.test:5000', 'other.test'], http: true },
      'ghcr.io': { mirrors: [] },
      '127.0.0.1:5000': { http: true },
    },
  })
})

test('without nameservers the daemon takes those of the machine', () => {
  const { dns, registry } = parse(
    configText({ ...settings, nameservers: [], mirrors: {}, plainHttp: [] }, bytes),
  )
  expect([dns, registry ?? {}]).toEqual([undefined, {}])
})

test('the same settings give the same text: a full disk has no space for another', () => {
  expect(configText({ ...settings }, bytes)).toBe(configText(settings, bytes))
})

test('what one app may have for itself is a share of the cache, or bytes', () => {
  expect(bytes.appBytes).toBe(400)
  expect(cacheBytes({ ...settings.cache, perApp: { bytes: 7 } }, space).appBytes).toBe(7)
  const small = cacheBytes({ ...settings.cache, size: { bytes: 100 } }, space)
  expect([small.maxBytes, small.reservedBytes]).toEqual([100, 100])
})
