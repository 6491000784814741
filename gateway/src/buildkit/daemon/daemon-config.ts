import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'smol-toml'
import { readSpace } from '../../host/disk/disk-space.ts'
import { writeOwnFile } from '../../host/privileged/own-file.ts'
import { cacheBytes, type CacheBytes } from '../cache/cache-limits.ts'
import type { DaemonSettings } from './daemon-settings.ts'
import { groupOf, runcWithLimits } from './step-limits.ts'

/** The path at which the daemon creates its socket. No client knows this name. */
export const firstSocketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) =>
  join(dir, 'buildkitd-first.sock')
/** The path at which clients find the socket, once the daemon is ready. */
export const socketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) => join(dir, 'buildkitd.sock')
/**
 * The daemon always listens for traces on this socket. It mounts the socket into each step for as
 * long as it exists.
 */
export const traceSocketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) =>
  join(dir, 'buildkitd-otel.sock')
export const configOf = ({ dir }: Pick<DaemonSettings, 'dir'>) => join(dir, 'buildkitd.toml')

/**
 * The folder for the daemon's temporary mounts. It is inside the root, so that `removeLeftovers`
 * finds the mounts of a killed daemon.
 */
export const tmpOf = ({ root }: DaemonSettings) => join(root, 'tmp')

/**
 * Does not write an unchanged file: a full disk has no space for a new one. The limits of the cache
 * are for the present size of the disk, so write the file before each start of the daemon.
 */
export async function writeConfig(settings: DaemonSettings): Promise<void> {
  const path = configOf(settings)
  const space = await readSpace(settings.root)
  const text = configText(settings, space && cacheBytes(settings.cache, space))
  if ((await readFile(path, 'utf8').catch(() => null)) !== text) writeOwnFile(path, text)
}

/** The text of `buildkitd.toml`. Without limits of the cache, the daemon takes its own. */
export function configText(settings: DaemonSettings, cache: CacheBytes | null): string {
  const { root, bridge, nameservers, gid, steps } = settings
  return stringify({
    root,
    log: { format: 'json', level: 'warn' },
    grpc: { address: [`unix://${firstSocketOf(settings)}`], ...(gid && { uid: 0, gid }) },
    otel: { socketPath: traceSocketOf(settings) },
    cdi: { disabled: true },
    ...(nameservers.length > 0 && { dns: { nameservers } }),
    worker: {
      containerd: { enabled: false },
      oci: {
        snapshotter: snapshotterOf(root),
        networkMode: 'bridge',
        bridgeName: bridge.name,
        bridgeSubnet: bridge.subnet,
        'max-parallelism': steps,
        binary: runcWithLimits,
        defaultCgroupParent: groupOf(root),
        ...(cache && { gcpolicy: gcPolicyOf(cache) }),
      },
    },
    registry: registriesOf(settings),
  })
}

/**
 * First what no build used for long, then the least recently used. In bytes: the daemon rounds a
 * share up to whole gigabytes. The first rule leaves a small cache alone.
 */
const gcPolicyOf = ({ maxBytes, minFreeBytes, reservedBytes, days }: CacheBytes) => [
  { all: true, keepDuration: `${Math.ceil(days * 24)}h`, maxUsedSpace: String(reservedBytes) },
  {
    all: true,
    maxUsedSpace: String(maxBytes),
    minFreeSpace: String(minFreeBytes),
    reservedSpace: String(reservedBytes),
  },
]

/** A host may have mirrors and speak plain HTTP. */
function registriesOf({ mirrors, plainHttp }: DaemonSettings) {
  const hosts = new Set([...Object.keys(mirrors), ...plainHttp])
  return Object.fromEntries(
    [...hosts].map((host) => [
      host,
      {
        ...(mirrors[host] && { mirrors: mirrors[host] }),
        ...(plainHttp.includes(host) && { http: true }),
      },
    ]),
  )
}

/**
 * The snapshotter that the existing cache was made with. On a full disk, `auto` finds that none
 * works, selects another one and loses the cache.
 */
const snapshotterOf = (root: string): string =>
  ['overlayfs', 'native'].find((name) => existsSync(join(root, `runc-${name}`))) ?? 'auto'
