import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'smol-toml'
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

/** Does not write an unchanged file: a full disk has no space for a new one. */
export async function writeConfig(settings: DaemonSettings): Promise<void> {
  const path = configOf(settings)
  const text = configText(settings)
  if ((await readFile(path, 'utf8').catch(() => null)) !== text) await writeFile(path, text)
}

/** The text of `buildkitd.toml`. */
export function configText(settings: DaemonSettings): string {
  const { root, bridge, nameservers, steps } = settings
  return stringify({
    root,
    log: { format: 'json', level: 'warn' },
    grpc: { address: [`unix://${firstSocketOf(settings)}`] },
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
        gcpolicy: [
          {
            filters: ['type==exec.cachemount'],
            keepDuration: '336h',
            maxUsedSpace: '30%',
          },
          { all: true, minFreeSpace: '15%', maxUsedSpace: '80%', reservedSpace: '20%' },
        ],
      },
    },
    registry: registriesOf(settings),
  })
}

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
