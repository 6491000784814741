import type { Config } from '../../config.ts'
import type { Logger } from '../../log.ts'
import { speaksPlainHttp } from '../../registry/plain-http.ts'
import { Daemon } from './daemon.ts'

/** Starts the gateway's own build daemon, with its cache on the gateway's volume. */
export function startDaemon(config: Config, log: Logger): Promise<Daemon> {
  const { data, buildkit, buildNetwork, daemon, registry, limits, cache, disk } = config
  const { root, mirrors } = buildkit
  const hosts = new Set([registry, ...Object.values(mirrors).flat()])
  const { subnet, ...settings } = daemon
  return Daemon.start(
    {
      ...settings,
      dir: data,
      root,
      bridge: { name: buildNetwork.bridge || 'tarmac0', subnet },
      nameservers: buildNetwork.dns,
      gid: config.uid,
      mirrors,
      cache: { ...cache, minFree: disk.high },
      plainHttp: [...hosts].filter((host) => speaksPlainHttp(host, config.plainHttp)),
      // The daemon holds this output in memory. It is four times what the log keeps, so that the
      // log can say how much is missing.
      stepLogBytes: limits.log.stepBytes * 4,
    },
    log,
  )
}
