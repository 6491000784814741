import { existsSync } from 'node:fs'
import { join } from 'node:path'
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

const quoted = (text: string) => JSON.stringify(text) // TOML can read what JSON writes

/**
 * The snapshotter that the existing cache was made with. On a full disk, `auto` finds that none
 * works, selects another one and loses the cache.
 */
const snapshotterOf = (root: string): string =>
  ['overlayfs', 'native'].find((name) => existsSync(join(root, `runc-${name}`))) ?? 'auto'

export function configText(settings: DaemonSettings): string {
  const { root, bridge, nameservers, mirrors, plainHttp, steps } = settings
  const registry = (host: string, line: string) => `[registry.${quoted(host)}]\n  ${line}`
  return `root = ${quoted(root)}
[log]
  format = "json"
  level = "warn"
[grpc]
  address = [${quoted(`unix://${firstSocketOf(settings)}`)}]
[otel]
  socketPath = ${quoted(traceSocketOf(settings))}
[cdi]
  disabled = true
${nameservers.length > 0 ? `[dns]\n  nameservers = ${JSON.stringify(nameservers)}` : ''}
[worker.containerd]
  enabled = false
[worker.oci]
  snapshotter = ${quoted(snapshotterOf(root))}
  networkMode = "bridge"
  bridgeName = ${quoted(bridge.name)}
  bridgeSubnet = ${quoted(bridge.subnet)}
  max-parallelism = ${steps}
  binary = ${quoted(runcWithLimits)}
  defaultCgroupParent = ${quoted(groupOf(root))}
[[worker.oci.gcpolicy]]
  filters = ["type==exec.cachemount"]
  keepDuration = "336h"
  maxUsedSpace = "30%"
[[worker.oci.gcpolicy]]
  all = true
  minFreeSpace = "15%"
  maxUsedSpace = "80%"
  reservedSpace = "20%"
${Object.entries(mirrors)
  .map(([host, places]) => registry(host, `mirrors = ${JSON.stringify(places)}`))
  .concat(plainHttp.map((host) => registry(host, 'http = true')))
  .join('\n')}
`
}
