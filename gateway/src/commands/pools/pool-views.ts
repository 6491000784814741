import type { PoolView } from '#api/previews/pool.ts'
import { restStates } from '../../deployments/previews/pool-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type PoolViewDeps = Pick<DeploymentStore, 'pools'>

/** The pools, with what waits in each. */
export async function poolViews({ pools }: PoolViewDeps): Promise<PoolView[]> {
  const entries = await pools.entries()
  const claimed = await pools.claimedSince(`${new Date().toISOString().slice(0, 10)}T00:00:00.000Z`)
  return (await pools.list()).map((pool) => {
    const isOwn = (other: { app: string; template: string | undefined }) =>
      other.app === pool.app && other.template === pool.template
    const own = entries.filter(({ app, template }) => isOwn({ app, template: template?.name }))
    const ready = own.filter(({ state }) => restStates.some((rest) => rest === state)).length
    return {
      ...pool,
      ready,
      warming: own.filter(({ state }) => state === 'starting' || state === 'ready').length,
      claimedToday: claimed.find(isOwn)?.n ?? 0,
    }
  })
}
