import type { Deployment } from '#api/deployment.ts'
import type { Preview } from '#api/previews/preview.ts'
import type { LivingPreview, StatsFilter } from '#api/previews/preview-stats.ts'
import { guestSize, type GuestSize } from '#api/status/machine.ts'
import { type PriceTable, rateOf } from '#api/status/prices.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import { isPooled } from '../../deployments/previews/pool-store.ts'
import { stuckOf } from '../../deployments/previews/stuck.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type LivingDeps = {
  store: Pick<DeploymentStore, 'previews' | 'find' | 'releases' | 'teams'>
  prices: PriceTable | null
}

/** The previews that have not ended, with what they cost, and why they are stuck. Oldest first. */
export async function livingPreviews(
  { app, owner }: StatsFilter,
  { store, prices }: LivingDeps,
): Promise<LivingPreview[]> {
  const living = (await store.previews.living()).filter(
    (preview) =>
      !isPooled(preview) &&
      (app === undefined || preview.app === app) &&
      (owner === undefined || preview.owner === owner),
  )
  const look = async (preview: Preview): Promise<LivingPreview> => {
    const deployment = await store.find(preview.deployment)
    const machines = await machinesOf(preview, { store, deployment })
    return {
      ...preview,
      team: store.teams.teamOf(preview.app),
      perHour: prices && machines && perHour(machines, prices),
      sizes: machines && machines.sizes,
      stuck: stuckOf(preview, deployment, Date.now()),
    }
  }
  return Promise.all(living.map(look))
}

type Machines = { sizes: GuestSize[]; region: string }

/** What the machines of its release have. Null: it has none yet, or one that does not say it. */
async function machinesOf(
  { flyApp }: Preview,
  { store, deployment }: Pick<LivingDeps, 'store'> & { deployment: Deployment | null },
): Promise<Machines | null> {
  const release = await store.releases.find(flyApp, null)
  if (!release) return null
  const desired = readDesired(release.desired)
  const sizes = desired.groups.map(({ config }) => guestSize(config.guest ?? desired.guest))
  const region = deployment?.machines?.[0]?.region ?? desired.region
  return sizes.every((size) => size !== null) ? { sizes, region } : null
}

/** Null: a size without a price. */
function perHour({ sizes, region }: Machines, prices: PriceTable): number | null {
  const rates = sizes.map((size) => rateOf(prices, size, region))
  return rates.reduce<number | null>(
    (sum, rate) => (sum === null || !rate ? null : sum + rate.perSecond * 3600),
    0,
  )
}
