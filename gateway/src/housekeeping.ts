import type { Removal } from '#api/status/disk/removals.ts'
import type { Awake } from './awake/awake.ts'
import type { BuildCache } from './buildkit/cache/build-cache.ts'
import type { Config } from './config.ts'
import { diskSampleMs } from './deployments/status/status-store.ts'
import type { DeploymentStore } from './deployments/store.ts'
import type { Ballast } from './host/disk/ballast.ts'
import type { DiskWatch } from './host/disk/disk-watch.ts'
import type { Logger } from './log.ts'
import type { TrailWatch } from './store/audit/trail-watch.ts'
import type { Resealing } from './secrets/resealing.ts'
import type { Sources } from './sources/sources.ts'
import { recordDisk } from './host/disk/record-disk.ts'
import type { Uploads } from './sources/uploads/uploads.ts'

type HousekeepingDeps = {
  store: Pick<DeploymentStore, 'sourcesInUse' | 'expireQueued' | 'dropLogs' | 'status'>
  sources: Pick<Sources, 'sweep'>
  uploads: Pick<Uploads, 'sweep'>
  disk: Pick<DiskWatch, 'removeFirst'>
  ballast: Pick<Ballast, 'fill'>
  trailWatch: Pick<TrailWatch, 'look'>
  resealing: Pick<Resealing, 'run'>
  buildkit: { cache: Pick<BuildCache, 'usage' | 'removals'> }
  awake: Pick<Awake, 'during'>
  log: Logger
  /** Fires when the gateway stops: a long job ends early. */
  stopping: AbortSignal
}

const everyMs = diskSampleMs

/**
 * Now and every 10 minutes: refills the ballast, removes expired uploads and sources that no record
 * needs, ends deployments that waited too long, counts machine time, records what is on the disk,
 * drops old logs, keeps the audit
 * trail, and seals again what an older key sealed. A failure is logged, and the next job runs.
 * Disposing waits for the job that runs.
 */
export function startHousekeeping(
  { sources, uploads, store, disk, ballast, log, stopping, ...deps }: HousekeepingDeps,
  {
    keep,
    keepLogs,
    keepAuditDays,
    limits,
    buildkit,
  }: Pick<Config, 'keep' | 'keepLogs' | 'keepAuditDays' | 'limits' | 'buildkit'>,
): AsyncDisposable {
  const { trailWatch, resealing, awake } = deps
  const { cache } = deps.buildkit
  const note = (removal: Omit<Removal, 'at'>) =>
    store.status
      .addRemoval(removal)
      .catch((err: unknown) => log.error({ err }, 'a removal could not be recorded'))
  const swept = async (what: Removal['what'], why: Removal['why'], count: number) => {
    if (count === 0) return
    log.info({ what, count }, 'removed what is not needed any more')
    await note({ what, why, app: null, count, bytes: null })
  }
  cache.removals.listener = (removal) => void note({ what: 'cache', ...removal })
  const sweepSources = async () => {
    await swept('sources', 'unused', (await sources.sweep(await store.sourcesInUse(keep))).removed)
    await swept('uploads', 'old', (await uploads.sweep()).removed)
  }
  disk.removeFirst(sweepSources)

  const jobs: (() => Promise<void>)[] = [
    () => ballast.fill(),
    sweepSources,
    () => store.expireQueued(limits.queueMs),
    () => store.status.countMachineTime(),
    async () => swept('logs', 'old', await store.dropLogs(keepLogs, stopping)),
    () => recordDisk({ root: buildkit.root, cache, store: store.status, keep }),
    () => trailWatch.look(keepAuditDays, stopping),
    () => resealing.run(stopping),
  ]

  let done: Promise<unknown> = Promise.resolve()
  const run = () => {
    for (const job of jobs)
      done = done
        .then(() => awake.during('sweeps', job))
        .catch((err: unknown) => log.error({ err }, 'sweep failed'))
  }
  run()
  const timer = setInterval(run, everyMs)

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await done
    },
  }
}
