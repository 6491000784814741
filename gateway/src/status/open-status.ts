import { retry } from '#api/flow/retry.ts'
import { guestSize, type GuestSize } from '#api/status/machine.ts'
import type { PreviewsStatus } from '#api/previews/previews-status.ts'
import { queueStatus } from '#api/status/queue.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { RequestBudget } from '#fly/request-budget.ts'
import type { Awake } from '../awake/awake.ts'
import type { BuildCache } from '../buildkit/cache/build-cache.ts'
import type { StatusDeps, StatusReaders } from '../commands/status.ts'
import type { Config } from '../config.ts'
import { costReader, rateNow } from './cost.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { DailyLook } from '../drift/daily-look.ts'
import { readSpace } from '../host/disk/disk-space.ts'
import type { DiskWatch } from '../host/disk/disk-watch.ts'
import { gatewayVersion } from '../host/gateway-version.ts'
import { type OwnMachine, ownMachine } from '../host/own-machine.ts'
import type { ImageWatch } from '../kept-images/image-watch.ts'
import type { Mirror } from '../mirror/mirror.ts'
import { sizesStatus } from '../sizes.ts'
import type { Resealing } from '../secrets/resealing.ts'
import type { TrailWatch } from '../store/audit/trail-watch.ts'
import type { GrowthWatch } from '../volume-growth/growth-watch.ts'
import type { Versions } from '../versions/versions.ts'

export type StatusParts = {
  store: Pick<DeploymentStore, 'status'>
  disk: Pick<DiskWatch, 'state'>
  fly: Pick<MachinesApi, 'machine'>
  flyBudget: Pick<RequestBudget, 'use'>
  versions: Pick<Versions, 'facts'>
  awake: Pick<Awake, 'status'>
  mirror: Pick<Mirror, 'status'>
  buildkit: { cache: Pick<BuildCache, 'usage'> }
  images: Pick<ImageWatch, 'status'>
  previews: { status: () => Promise<PreviewsStatus> }
  stopping: AbortSignal
  growth: Pick<GrowthWatch, 'status'>
  trailWatch: Pick<TrailWatch, 'status'>
  resealing: Pick<Resealing, 'status'>
  daily: Pick<DailyLook, 'status'>
}

/** The parts of `GET /v1/status`. Another part adds a line to `readers`. */
export function openStatus(parts: StatusParts, config: Config): StatusDeps {
  const { disk, fly, versions, awake, mirror, buildkit, images, growth, trailWatch } = parts
  const { daily, previews } = parts
  const store = parts.store.status
  const own = ownMachine(config.machine)

  let size: GuestSize | null = null
  const priced = () => ({ table: config.prices, size, region: config.machine.region })
  const findSize = async () => {
    size = await sizeOf(own, fly, parts.stopping)
    store.useRate(rateNow(priced()))
  }
  findSize().catch(() => null) // the gateway has stopped meanwhile

  const readers: StatusReaders = {
    async machine() {
      const found = await own
      if (!found) return null
      const { app, id, region, image } = found
      return { app, id, region, image, size }
    },
    queue: async () => queueStatus(await store.unfinishedByState()),
    async disk() {
      const space = await readSpace(config.buildkit.root)
      const { freeBytes, sizeBytes } = space ?? { freeBytes: 0, sizeBytes: 0 }
      return { ...disk.state(), freeBytes, sizeBytes, growth: growth.status }
    },
    versions: () => versions.facts(),
    cache: () => buildkit.cache.usage(),
    images: () => images.status,
    sizes: async () => sizesStatus(config, await readSpace(config.buildkit.root)),
    awake: () => awake.status(),
    mirror: () => mirror.status(),
    fly: () => parts.flyBudget.use,
    previews: () => previews.status(),
    cost: costReader(store, priced),
    audit: () => trailWatch.status,
    sealing: () => parts.resealing.status(),
    drift: () => daily.status(),
  }
  return { version: gatewayVersion(), startedAt: new Date(), readers }
}

const sizeMs = 30_000
const sizePauseMs = 60_000

/**
 * Asks Fly for the size of the machine, until it answers: only a restart changes the size. Null: the
 * machine is not one of Fly's, or Fly does not say its size.
 */
async function sizeOf(
  own: Promise<OwnMachine | null>,
  fly: Pick<MachinesApi, 'machine'>,
  stopping: AbortSignal,
): Promise<GuestSize | null> {
  const machine = await own
  if (!machine) return null
  const ask = () => fly.machine(machine, AbortSignal.any([stopping, AbortSignal.timeout(sizeMs)]))
  const policy = { isRetryable: () => true, pauseMs: () => sizePauseMs }
  return guestSize((await retry(ask, policy, stopping))?.config?.guest)
}
