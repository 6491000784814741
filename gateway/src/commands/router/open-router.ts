import { Problem } from '#api/problem.ts'
import type { Router, RouterStore } from '../../deployments/router/router-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { deleteAppAndCache } from '../app/app-cache.ts'
import type { Drain } from '../drain.ts'
import type { RouterCommands } from './router-commands.ts'
import { earlierVersion, ownVersion, type VersionDeps } from './router-version.ts'
import { listRouters, viewOf } from './router-views.ts'
import { type WarningDeps, warningsOf } from './router-warnings.ts'

export type RouterDeps = VersionDeps &
  WarningDeps & {
    store: Pick<DeploymentStore, 'unfinished'>
    drain: Pick<Drain, 'whileOpen'>
  }
type Target = { app: string; router: string }

/** For the calls to Fly of one command. */
const callMs = 60_000

/** The commands about routers. `deleteApp` deletes the router's app with all that is kept of it. */
export function openRouter(
  deps: RouterDeps & Parameters<typeof deleteAppAndCache>[2],
  deleteApp: typeof deleteAppAndCache,
): RouterCommands {
  const { store, ownerRoutes, drain } = deps
  return {
    list: () => listRouters({ store, ownerRoutes }),
    show: async (_caller, { app }) => viewOf(routerFor(app, store.routers), ownerRoutes),

    deploy: drain.whileOpen(async (caller, target, { domain: named, release }) => {
      const { app, router } = target
      const signal = AbortSignal.timeout(callMs)
      if (release === null) await refuseOthersApp(target, deps, signal)
      const asked = { caller, ...target, signal }
      const { domain, submit, ahead } =
        release === null
          ? await ownVersion(asked, named, deps)
          : await earlierVersion(asked, release, deps)
      const answer = { app, router, domain, warnings: await warningsOf(app, deps, signal) }
      if (!submit) return { ...answer, deployment: ahead }
      const { id } = await asRouter({ app, router, domain }, submit, store.routers)
      ownerRoutes.syncAfter(app, id) // owners may come and go meanwhile
      return { ...answer, deployment: id }
    }),

    async remove(_caller, { app, router }) {
      const { domain } = routerFor(app, store.routers)
      const request = { confirm: router, foreign: false }
      const deadline = AbortSignal.timeout(callMs)
      await deleteApp(router, request, deps, deadline).catch((error: unknown) => {
        const isGone = error instanceof Problem && error.code === 'app-not-found'
        if (!isGone) throw error
      })
      store.routers.remove(app)
      return { app, router, domain, deployment: null, warnings: [] }
    },
  }
}

function routerFor(app: string, routers: RouterStore): Router {
  const router = routers.find(app)
  if (router) return router
  throw new Problem('app-not-found', `${app} has no router. To deploy one: tarmac router ${app}`)
}

/** Records a router for its deployment. If there is none, the name may become another app's. */
async function asRouter<T>(
  router: Router,
  submit: () => Promise<T>,
  routers: RouterStore,
): Promise<T> {
  const before = routers.find(router.app)
  routers.put(router) // first: others deploy nothing to a router
  return submit().catch((error: unknown) => {
    if (before) routers.put(before)
    else routers.remove(router.app)
    throw error
  })
}

/** The name of the router's app may be another app's, of this gateway or of other tools. */
async function refuseOthersApp(
  { app, router }: Target,
  { store, fly }: Pick<RouterDeps, 'store' | 'fly'>,
  signal: AbortSignal,
): Promise<void> {
  if (store.routers.appOf(app) !== null)
    throw new Problem('option-invalid', `${app} is a router itself, so it has no owners.`)
  if (store.routers.find(app)) return
  // The records keep the deployments of a router that was removed.
  const known = (await store.unfinished(router)) ?? (await store.releases.find(router, null))
  if (!known && !(await fly.app(router, signal))) return
  const detail = `The router of ${app} would be the app ${router}, and there is such an app that is no router. Delete it, or deploy it under another name.`
  throw new Problem('app-name-taken', detail)
}
