import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DaemonSettings } from './daemon.ts'
import { groupOf, runcWithLimits } from './step-limits.ts'

/** Where the daemon makes its socket: a name that no client knows. */
export const firstSocketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) =>
  join(dir, 'buildkitd-first.sock')
/** Where clients find it, from when it may be used. */
export const socketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) => join(dir, 'buildkitd.sock')
/** The daemon listens for traces here whatever its settings are, and shows the socket to each step while it is there. */
export const traceSocketOf = ({ dir }: Pick<DaemonSettings, 'dir'>) =>
  join(dir, 'buildkitd-otel.sock')
export const configOf = ({ dir }: Pick<DaemonSettings, 'dir'>) => join(dir, 'buildkitd.toml')

const quoted = (text: string) => JSON.stringify(text) // what JSON can write, TOML can read

/** The one that its cache was made with: on a full disk `auto` finds that nothing works, takes another and loses the cache. */
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
