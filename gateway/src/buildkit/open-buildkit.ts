import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { readSpace } from '../host/disk/disk-space.ts'
import { DiskWatch } from '../host/disk/disk-watch.ts'
import { askPrivileged, hasPrivileged } from '../host/privileged/ask.ts'
import { calls } from '../host/privileged/calls.ts'
import type { Logger } from '../log.ts'
import { type CacheBytes, cacheBytes } from './cache/cache-limits.ts'
import { Buildkit, type LoginFor } from './client.ts'
import type { Daemon } from './daemon/daemon.ts'
import { startDaemon } from './daemon/start-daemon.ts'
import { stopLargestStep } from './daemon/step-writes.ts'

type OwnDaemon = Pick<Daemon, 'address' | 'restart' | typeof Symbol.asyncDispose>
type Opened = {
  buildkit: Buildkit
  /** Null: the gateway did not start the daemon. */
  daemon: OwnDaemon | null
  /** Changes when the daemon restarts, because it then creates a new socket. Null: no socket. */
  daemonId: () => string | null
}

const leakMs = 5000

/** Opens the client of the build daemon. With the address `spawn`, starts the daemon first. */
export async function openBuildkit(
  config: Config,
  { key, loginFor }: { key: Uint8Array; loginFor: LoginFor },
  log: Logger,
  opening: AsyncDisposableStack,
): Promise<Opened> {
  const daemon =
    config.buildkit.address === 'spawn' ? opening.use(await openDaemon(config, log)) : null
  const address = daemon?.address ?? config.buildkit.address
  const { mirrors, ...client } = config.buildkit

  const buildkit = opening.use(
    await Buildkit.open({
      ...client,
      address,
      key,
      images: { ...config.images, own: config.registry },
      plainHttp: config.plainHttp,
      ...(daemon || Object.keys(mirrors).length > 0 ? { mirrors } : {}),
      loginFor,
      cache: { file: join(config.data, 'cache-users.json'), limits: () => limitsOf(config), log },
    }),
  )

  return { buildkit, daemon, daemonId: () => socketIdentity(address) }
}

/** Watches the disk of the build cache. When it is full, removes old caches. */
export function openBuildDisk(
  config: Config,
  { buildkit, daemon }: Pick<Opened, 'buildkit' | 'daemon'>,
  log: Logger,
): Promise<DiskWatch> {
  const { root } = config.buildkit
  return DiskWatch.open({
    ...config.disk,
    folder: folderOf(config),
    makeRoom: (freeBytes, isUrgent) => buildkit.cache.makeRoom(freeBytes, isUrgent),
    async makeMoreRoom(freeBytes) {
      if (!daemon || (await buildkit.leakedBytes(AbortSignal.timeout(leakMs))) === 0) return false
      log.warn('build daemon holds files of stopped builds; restarting it')
      await daemon.restart()
      await buildkit.cache.makeRoom(freeBytes, () => true)
      return true
    },
    ...(daemon && {
      stopLargest: (by) => stopLargestStep({ command: config.daemon.command, root }, by),
    }),
    log,
  })
}

/** A folder on the disk of the build cache. */
const folderOf = ({ buildkit: { root }, data }: Config) => (existsSync(root) ? root : data)

/** The limits of the build cache, for the present size of its disk. */
async function limitsOf(config: Config): Promise<CacheBytes | null> {
  const space = await readSpace(folderOf(config))
  return space && cacheBytes({ ...config.cache, minFree: config.disk.high }, space)
}

/** The daemon of the privileged process outlives this gateway. */
async function openDaemon(config: Config, log: Logger): Promise<OwnDaemon> {
  if (!hasPrivileged()) return startDaemon(config, log)
  return {
    address: await askPrivileged(calls.daemon, null),
    restart: async () => void (await askPrivileged(calls.restartDaemon, null)),
    [Symbol.asyncDispose]: async () => {},
  }
}

/**
 * Lets the daemon read its limits again, for the present size of the disk: it reads them only at its
 * start. Returns false, and does nothing, while a build runs.
 */
export async function refreshLimits({
  buildkit,
  daemon,
}: Pick<Opened, 'buildkit' | 'daemon'>): Promise<boolean> {
  if (!buildkit.isIdle) return false
  await daemon?.restart()
  return true
}

function socketIdentity(address: string): string | null {
  const socket = statSync(address.replace('unix://', ''), { throwIfNoEntry: false })
  return socket ? `${socket.ino} ${socket.ctimeMs}` : null
}
