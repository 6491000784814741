import type { Deployment } from '#api/deployment.ts'
import type { Preview } from '#api/previews/preview.ts'
import type { LivingPreview, StatsFilter } from '#api/previews/preview-stats.ts'
import { guestSize } from '#api/status/machine.ts'
import { type PriceTable, rateOf } from '#api/status/prices.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type LivingDeps = {
  store: Pick<DeploymentStore, 'previews' | 'find' | 'releases' | 'teams'>
  prices: PriceTable | null
  /** How long a preview may stay in one state of its deployment. */
  stuckMs: number
}

/** The previews that have not ended, with what they cost, and why they are stuck. Oldest first. */
export async function livingPreviews(
  { app, owner }: StatsFilter,
  { store, prices, stuckMs }: LivingDeps,
): Promise<LivingPreview[]> {
  const living = (await store.previews.living()).filter(
    (preview) =>
      (app === undefined || preview.app === app) &&
      (owner === undefined || preview.owner === owner),
  )
  const look = async (preview: Preview): Promise<LivingPreview> => {
    const deployment = await store.find(preview.deployment)
    return {
      ...preview,
      team: store.teams.teamOf(preview.app),
      perHour: prices && (await perHour(preview, { store, prices, deployment })),
      stuck: stuckOf(preview, deployment, stuckMs),
    }
  }
  return Promise.all(living.map(look))
}

/** What the machines of its release cost. Null: it has none yet, or a size without a price. */
async function perHour(
  { flyApp }: Preview,
  {
    store,
    prices,
    deployment,
  }: Pick<LivingDeps, 'store'> & { prices: PriceTable; deployment: Deployment | null },
): Promise<number | null> {
  const release = await store.releases.find(flyApp, null)
  if (!release) return null
  const desired = readDesired(release.desired)
  const region = deployment?.machines?.[0]?.region ?? desired.region
  const rates = desired.groups.map(({ config }) => {
    const size = guestSize(config.guest ?? desired.guest)
    return size && rateOf(prices, size, region)
  })
  return rates.reduce<number | null>(
    (sum, rate) => (sum === null || !rate ? null : sum + rate.perSecond * 3600),
    0,
  )
}

function stuckOf(
  { state, problem }: Preview,
  deployment: Deployment | null,
  stuckMs: number,
): LivingPreview['stuck'] {
  if (!deployment) return null
  const { id, updatedAt: since } = deployment
  // A removal that fails is tried again until it succeeds.
  if (state === 'destroying') return problem && { since, why: problem.detail }
  const isLate = Date.now() - Date.parse(since) > stuckMs
  if (state !== 'starting' || !isLate) return null
  return { since, why: `Deployment ${id} is ${deployment.state}, and makes no progress.` }
}
