import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Principal } from '../../callers/principal.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import { findRelease } from '../../deployments/release-store.ts'
import { routerTrigger } from '../../deployments/router/router-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Sources } from '../../sources/sources.ts'
import type { Submissions } from '../submissions.ts'
import type { OwnerRoutes } from './owner-routes.ts'
import { routerSource } from './router-source.ts'
import { routeNames, routesEnv, routesIn } from './routes.ts'

export type VersionDeps = {
  store: Pick<DeploymentStore, 'releases' | 'routers'>
  fly: Pick<MachinesApi, 'app'>
  sources: Pick<Sources, 'receive'>
  submissions: Pick<Submissions, 'submit' | 'deployExisting'>
  ownerRoutes: OwnerRoutes
}
type Asked = { caller: Principal; app: string; router: string; signal: AbortSignal }

/** A version of a router. `submit`: makes the deployment of it. Null: it runs, or `ahead` makes it. */
type RouterVersion = {
  domain: string | null
  submit: (() => Promise<{ id: string }>) | null
  ahead: string | null
}

/** The program of this gateway, with the routes of now. */
export async function ownVersion(
  { caller, app, router, signal }: Asked,
  domain: string | null,
  { fly, sources, submissions, ownerRoutes }: VersionDeps,
): Promise<RouterVersion> {
  const source = await sources.receive(await routerSource(), { signal })
  const settings = {
    TARMAC_ROUTER_APP: app,
    TARMAC_ROUTER_DOMAIN: domain ?? '',
    TARMAC_ROUTER_PROGRAM: source.digest,
  }
  const { live, next, ahead } = await ownerRoutes.known(router)
  const isKnown = Object.entries(settings).every(([name, value]) => next[name] === value)
  if (isKnown && (live || ahead)) return { domain, submit: null, ahead: ahead?.id ?? null }

  const env = { ...settings, ...routesEnv(await ownerRoutes.now(app, routesIn(next), signal)) }
  const options = DeploymentOptions.parse({
    env,
    network: await networkOf(app, fly, signal),
    ha: true,
    lane: 'latest',
    trigger: routerTrigger,
  })
  const about = { app: router, options, source, idempotencyKey: null }
  return { domain, submit: () => submissions.submit(caller, about), ahead: null }
}

/**
 * The program and the domain of an earlier release of a router, with the routes of now. Throws
 * `app-not-found` for an app without a router, and `release-not-found`.
 */
export async function earlierVersion(
  { caller, app, router, signal }: Asked,
  number: number,
  { store, submissions, ownerRoutes }: VersionDeps,
): Promise<RouterVersion> {
  if (!store.routers.find(app))
    throw new Problem('app-not-found', `${app} has no router. To make one: tarmac router ${app}`)
  const release = await findRelease(store.releases, router, null, number)
  const earlier = readDesired(release.desired).groups[0]?.config.env ?? {}
  const domain = earlier['TARMAC_ROUTER_DOMAIN'] || null
  const routes = routeNames(earlier)
  const { next, ahead } = await ownerRoutes.known(router)
  const isNext = Object.entries(earlier).every(
    ([name, value]) => routes.includes(name) || next[name] === value,
  )
  if (isNext) return { domain, submit: null, ahead: ahead?.id ?? null }

  const env = routesEnv(await ownerRoutes.now(app, routesIn(next), signal))
  const options = DeploymentOptions.parse({
    env,
    lane: 'latest',
    trigger: routerTrigger,
    message: `back to release ${number}`,
  })
  const withoutEnv = routes.filter((name) => !(name in env))
  const about = { app: router, options, withoutEnv, idempotencyKey: null }
  const submit = () => submissions.deployExisting(caller, { release: number }, about)
  return { domain, submit, ahead: null }
}

/** A replay stays within a network. Null: the network of the gateway's apps. */
async function networkOf(
  app: string,
  fly: VersionDeps['fly'],
  signal: AbortSignal,
): Promise<string | null> {
  const network = (await fly.app(app, signal))?.network
  return network && network !== 'default' ? network : null
}
