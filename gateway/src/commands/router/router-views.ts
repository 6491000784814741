import { type RouterList, RouterSummary, type RouterView } from '#api/router/router.ts'
import type { Router, RouterStore } from '../../deployments/router/router-store.ts'
import type { OwnerRoutes } from './owner-routes.ts'
import { routesIn } from './routes.ts'

type ViewDeps = { store: { routers: RouterStore }; ownerRoutes: Pick<OwnerRoutes, 'known'> }

export async function listRouters({ store, ownerRoutes }: ViewDeps): Promise<RouterList> {
  const views = store.routers.list().map((router) => viewOf(router, ownerRoutes))
  const routers = (await Promise.all(views)).map((view) => RouterSummary.parse(view))
  return { routers: routers.toSorted((one, other) => (one.app < other.app ? -1 : 1)) }
}

/** What it routes now, not what a deployment is about to change. */
export async function viewOf(
  { app, router, domain }: Router,
  ownerRoutes: ViewDeps['ownerRoutes'],
): Promise<RouterView> {
  const { live, release, ahead } = await ownerRoutes.known(router)
  const routes = [...routesIn(live ?? {})].map(([owner, machines]) => ({ owner, machines }))
  const deployment = ahead?.id ?? null
  return { app, router, domain, release, deployment, owners: routes.length, routes }
}
