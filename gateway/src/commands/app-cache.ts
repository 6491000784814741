import { asProblem, Problem } from '#api/problem.ts'
import type { RemovedCache } from '#api/status/cache.ts'
import type { BuildCache } from '../buildkit/cache/build-cache.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { PlanCache } from '../railpack/plan-cache.ts'

export type CacheDeps = {
  store: Pick<DeploymentStore, 'caches'>
  plans: Pick<PlanCache, 'forget'>
  cache: Pick<BuildCache, 'remove'>
}

/**
 * Removes what one app alone has in the build cache, and its plans. A build that runs keeps what it
 * uses. Throws `buildkit-unavailable` if the files could not be removed.
 */
export async function removeCache(
  app: string,
  { store, plans, cache }: CacheDeps,
): Promise<RemovedCache> {
  // First the record: whatever fails later, the next build is cold.
  await store.caches.reset(app)
  const removedPlans = await plans.forget(app)
  try {
    return { app, ...(await cache.remove(app)), removedPlans }
  } catch (error) {
    const { code, message } = asProblem(error)
    const detail = `The next build of ${app} uses nothing of its build cache. But its files are still on the disk: ${message} Send the same again to remove them.`
    throw new Problem(code, detail, { cause: error })
  }
}
