import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { flyTomlDifference } from '../../bench/conformance-flytoml.ts'
import { recordFlyToml } from '../../bench/record/flyctl.ts'
import { caseOf } from '../../bench/record/flyctl-case.ts'
import { opsOf } from '../../bench/record/llb-ops.ts'
import { recordPins } from '../../bench/record/pins.ts'
import { fullName, imagesOf, pinnedIn, SourcePolicy } from '#api/image/pins.ts'
import { FakeRegistry } from '../fakes/registry.ts'
import { hasFlyctl } from '../flyctl.ts'

const root = join(import.meta.dirname, '../..')

test('the images of a Dockerfile are those of its FROM lines that are not its own stages', () => {
  const text =
    'FROM moby/buildkit:v1 AS buildkit\nFROM node:26 AS packages\nFROM packages\nfrom ghcr.io/a/b:v2\nFROM node:26\n'
  expect(imagesOf(text).map(({ image }) => fullName(image))).toEqual([
    'docker.io/moby/buildkit:v1',
    'docker.io/library/node:26',
    'ghcr.io/a/b:v2',
  ])
  expect(fullName('alpine')).toBe('docker.io/library/alpine:latest')
  expect(fullName('localhost:5000/a')).toBe('localhost:5000/a:latest')
})

test('the pins are a source policy with the digest that a registry gives; what it does not give stays as it was', async () => {
  await using registry = await FakeRegistry.start()
  const { digest } = registry.put('moby/buildkit', 'v0.32.2')
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-pins-'))
  mkdirSync(join(dir, 'gateway'))
  const dockerfile = 'FROM moby/buildkit:v0.32.2 AS buildkit\nFROM node:26\nFROM ghcr.io/a/b:v1\n'
  writeFileSync(join(dir, 'gateway/Dockerfile'), dockerfile)
  const old = `sha256:${'b'.repeat(64)}`
  const rule = (name: string, to: string) => ({
    action: 'CONVERT',
    selector: { identifier: `docker-image://${name}` },
    updates: { identifier: `docker-image://${name}@${to}` },
  })
  const before = [rule('docker.io/library/node:26', old), rule('docker.io/gone:1', old)]
  writeFileSync(join(dir, 'gateway/pins.json'), JSON.stringify({ rules: before }))

  const nowhere = '127.0.0.1:1'
  const mirrors = { 'docker.io': registry.host, 'ghcr.io': nowhere }
  const { lines, missing } = await recordPins(dir, mirrors)
  expect(JSON.parse(readFileSync(join(dir, 'gateway/pins.json'), 'utf8'))).toEqual({
    rules: [
      rule('docker.io/moby/buildkit:v0.32.2', digest),
      rule('docker.io/library/node:26', old),
    ],
  })
  expect(lines).toEqual([
    `docker.io/moby/buildkit:v0.32.2: ${digest} (new)`,
    `docker.io/library/node:26: not asked, keeps ${old}`,
    'ghcr.io/a/b:v1: not asked, not pinned',
  ])
  expect(missing).toEqual([
    `docker.io/library/node:26: ${registry.host} has no such tag`,
    expect.stringContaining('ghcr.io/a/b:v1: '),
  ])
})

test('gateway/pins.json names only images of gateway/Dockerfile', () => {
  const read = (file: string) => readFileSync(join(root, 'gateway', file), 'utf8')
  const pinned = pinnedIn(SourcePolicy.parse(JSON.parse(read('pins.json'))))
  const named = new Set(imagesOf(read('Dockerfile')).map(({ image }) => fullName(image)))
  expect([...pinned.keys()].filter((name) => !named.has(name))).toEqual([])
})

test('a case holds what flyctl translates, without what its deploy adds', () => {
  const config = {
    image: 'x',
    guest: { cpus: 1 },
    env: { FLY_PROCESS_GROUP: 'app', PRIMARY_REGION: 'ams', A: 'b' },
    mounts: [{ path: '/data', volume: 'vol_1' }],
    metadata: { fly_process_group: 'app', fly_release_id: '1', fly_flyctl_version: '2' },
    services: [],
  }
  const release = { ...config, metadata: { fly_process_group: 'fly_app_release_command' } }
  const sent = { toml: 'primary_region = "mia"', version: '2', created: [release, config] }
  const ended = { ok: true, output: '' }
  const recorded = caseOf({ ...sent, definition: {}, ended })
  expect(recorded.groups).toEqual({
    app: {
      env: { FLY_PROCESS_GROUP: 'app', PRIMARY_REGION: 'mia', A: 'b' },
      mounts: [{ path: '/data' }],
      metadata: { fly_process_group: 'app', fly_flyctl_version: 'FLYCTL_VERSION' },
      services: [],
    },
  })
  expect(recorded.extra.release_machine).toMatchObject({ mounts: [{ path: '/data' }] })
  const withVm = caseOf({ ...sent, definition: { vm: [{ processes: ['app'] }] }, ended })
  expect(withVm.groups['app']).toMatchObject({ guest: { cpus: 1 } })

  const failed = { ok: false, output: 'Validating\n\u001b[31mError:\u001b[0m no such key\n' }
  expect(caseOf({ ...sent, created: [], definition: {}, ended: failed })).toMatchObject({
    ok: false,
    error: 'no such key',
  })
})

test.each([
  [
    'a file that it cannot read',
    'Validating /tmp/x/fly.toml\n\n   ✘invalid autostop string value "sometimes"\n',
    'invalid autostop string value "sometimes"',
  ],
  [
    'a file with a wrong value',
    "Validating /tmp/x/fly.toml\nunsupported deployment strategy 'yolo'\n\n   ✘invalid app configuration\n",
    "App configuration is not valid: Validating fly.toml\nunsupported deployment strategy 'yolo'\n\n   ✘invalid app configuration",
  ],
])('a case holds the reason why flyctl refuses %s', (_, findings, error) => {
  // As flyctl of 2026-11-30 prints it: the findings on stdout, then its last words on stderr.
  const output = `${findings}==> Verifying app config\nError: App configuration is not valid\n`
  const ended = { ok: false, output }
  const sent = { toml: '', version: '2', created: [], definition: {}, ended }
  expect(caseOf(sent)).toMatchObject({ ok: false, error })
})

test('a case holds a container’s image, a host dedication and headers as the file has them', () => {
  const created = [
    {
      image: 'registry.fly.io/a@sha256:1',
      containers: [{ name: 'app', image: 'registry.fly.io/a@sha256:1' }, { image: 'nginx' }],
      guest: { cpus: 1, host_dedication_id: 'of-the-app' },
      services: [{ checks: [{ headers: [{ name: 'b' }, { name: 'a' }] }] }],
    },
  ]
  const definition = {
    host_dedication_id: 'of-the-app',
    vm: [{ processes: ['app'], host_dedication_id: 'specific' }],
  }
  const ended = { ok: true, output: '' }
  expect(caseOf({ toml: '', version: '2', created, definition, ended }).groups['app']).toEqual({
    containers: [{ name: 'app', image: '.' }, { image: 'nginx' }],
    guest: { cpus: 1, host_dedication_id: 'specific' },
    services: [{ checks: [{ headers: [{ name: 'a' }, { name: 'b' }] }] }],
    env: {},
    metadata: { fly_flyctl_version: 'FLYCTL_VERSION' },
  })
})

test('a size that machine_config gives is the file’s own', () => {
  const created = [{ guest: { cpus: 1 } }]
  const ended = { ok: true, output: '' }
  const groupOf = (machine_config: string) => {
    const sent = { toml: '', version: '2', created, definition: { machine_config }, ended }
    return caseOf(sent).groups['app']
  }
  expect(groupOf('{"guest": {"cpus": 1}}')).toMatchObject({ guest: { cpus: 1 } })
  for (const other of ['{}', 'a-file.json']) expect(groupOf(other)).not.toHaveProperty('guest')
})

// As `buildctl debug dump-llb` of BuildKit 0.32.2 prints it.
const dump = [
  {
    Op: { Op: { source: { identifier: 'docker-image://docker.io/library/alpine:latest' } } },
    Digest: 'sha256:1',
    OpMetadata: { caps: { 'source.image': true } },
  },
  {
    Op: {
      inputs: [{ digest: 'sha256:1', index: 0 }],
      Op: { exec: { meta: { args: ['true'], cwd: '/' }, mounts: [{ dest: '/', output: 0 }] } },
      platform: { OS: 'linux' },
      constraints: {},
    },
    Digest: 'sha256:2',
    OpMetadata: { description: { 'llb.customname': 'run it' } },
  },
  {
    Op: {
      inputs: [{ digest: 'sha256:2' }],
      Op: {
        file: {
          actions: [{ input: 0, secondaryInput: -1, output: 0, Action: { mkdir: { path: '/a' } } }],
        },
      },
    },
    Digest: 'sha256:3',
  },
  { Op: { inputs: [{ digest: 'sha256:3', index: 0 }], Op: null }, Digest: 'sha256:4' },
]
test('operations are in the order of the recorded cases, without platform and zero values', () => {
  const text = dump.map((line) => JSON.stringify(line)).join('\n')
  expect(opsOf(text)).toEqual([
    { op: { source: { identifier: 'docker-image://docker.io/library/alpine:latest' } } },
    {
      name: 'run it',
      inputs: ['0.0'],
      op: { exec: { meta: { args: ['true'], cwd: '/' }, mounts: [{ dest: '/' }] } },
    },
    {
      inputs: ['1.0'],
      op: {
        file: {
          actions: [{ input: 0, secondaryInput: -1, output: 0, mkdir: { path: '/a' } }],
        },
      },
    },
  ])
})

test.skipIf(!hasFlyctl)(
  'a real flyctl is recorded, and our translation agrees with it',
  { timeout: 60_000 },
  async () => {
    const toml =
      'app = "web"\nprimary_region = "mia"\n[mounts]\nsource = "data"\ndestination = "/data"\n[http_service]\ninternal_port = 3000\n'
    const recorded = await recordFlyToml(toml, 'here')
    expect(recorded.ok).toBe(true)
    expect(flyTomlDifference(recorded as never)).toBe(null)
    expect(await recordFlyToml('app = "web"\n[[vm]]\nsize = 7\n', 'here')).toMatchObject({
      ok: false,
    })
  },
)
