import { asProblem, Problem } from '#api/problem.ts'
import type { RemovedCache } from '#api/status/cache.ts'
import type { BuildCache } from '../../buildkit/cache/build-cache.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Logger } from '../../log.ts'
import type { PlanCache } from '../../railpack/plan-cache.ts'
import { appSettings } from '../app-settings.ts'
import { deleteApp, type DeleteRequest } from '../delete-app.ts'

type CacheDeps = {
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

/** The same for an app that the records or Fly know. Throws `app-not-found` for another. */
export async function removeCacheOf(
  app: string,
  deps: CacheDeps & Parameters<typeof appSettings>[1],
  signal: AbortSignal,
): Promise<RemovedCache> {
  await appSettings(app, deps, signal)
  return removeCache(app, deps)
}

/** Deletes an app, and its build cache afterwards: nobody waits for that. */
export async function deleteAppAndCache(
  app: string,
  request: DeleteRequest,
  deps: CacheDeps & Parameters<typeof deleteApp>[2] & { log: Logger },
  signal: AbortSignal,
): Promise<void> {
  await deleteApp(app, request, deps, signal)
  removeCache(app, deps).catch((err: unknown) =>
    deps.log.warn({ err, app }, 'the build cache of a deleted app is still there'),
  )
}
