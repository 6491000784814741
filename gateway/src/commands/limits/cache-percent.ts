import type { CacheStatus } from '#api/status/cache.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

type Deps = {
  store: Pick<DeploymentStore, 'teams' | 'quotas'>
  cache: { usage: () => Promise<CacheStatus> }
}

/** What a team has of the build cache. Null: no quota limits it, or the build daemon does not answer. */
export const cachePercentOf =
  ({ store: { teams, quotas }, cache }: Deps) =>
  async (team: string): Promise<number | null> => {
    if (quotas.limitOf(team, 'cache-percent') === null) return null
    const usage = await cache.usage().catch(() => null)
    if (!usage?.maxBytes) return null
    const own = usage.apps.filter(({ app }) => teams.teamOf(app) === team)
    return (own.reduce((sum, { bytes }) => sum + bytes, 0) / usage.maxBytes) * 100
  }
