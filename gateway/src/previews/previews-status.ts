import type { PreviewsStatus, SweepStatus } from '#api/previews/previews-status.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { poolViews } from '../commands/pools/pool-views.ts'
import { isPooled } from '../deployments/previews/pool-store.ts'
import { stuckOf } from '../deployments/previews/stuck.ts'

/** What `GET /v1/status` says of previews. */
export async function previewsStatus(
  store: Pick<DeploymentStore, 'previews' | 'pools' | 'find'>,
  sweep: SweepStatus,
): Promise<PreviewsStatus> {
  const living = (await store.previews.living()).filter((preview) => !isPooled(preview))
  const states: Record<string, number> = {}
  const stuck: PreviewsStatus['stuck'] = []
  for (const preview of living) {
    const { id, state } = preview
    states[state] = (states[state] ?? 0) + 1
    if (state !== 'starting' && state !== 'destroying') continue
    const found = stuckOf(preview, await store.find(preview.deployment), Date.now())
    if (found) stuck.push({ id, state, ...found })
  }
  return { states, stuck, sweep, pools: await poolViews(store) }
}
