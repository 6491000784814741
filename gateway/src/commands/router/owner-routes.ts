import { type Deployment, isFinal } from '#api/deployment.ts'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { Logger } from '../../log.ts'
import type { Principal } from '../../callers/principal.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { Deployer } from '../../deploy/deployer.ts'
import type { EventSink } from '../../deployments/event-sink.ts'
import { type LogStore, untilEnd } from '../../deployments/follow.ts'
import { routerTrigger } from '../../deployments/router/router-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Submissions } from '../submissions.ts'
import { routeNames, routesEnv, routesIn, type Routes, sameMachines, sameRoutes } from './routes.ts'

export type RouteDeps = {
  store: LogStore &
    Pick<DeploymentStore, 'list' | 'releases' | 'routers' | 'status' | 'hasSuspects'>
  deployer: Pick<Deployer, 'machinesOfOwners'>
  submissions: Pick<Submissions, 'deployExisting'>
  log: Pick<Logger, 'warn'>
}
type Env = Record<string, string>
/**
 * `live`: the variables of the router's newest release, whose number is `release`. Null: it has none. `next`: those that it is
 * about to have. `ahead`: its newest deployment that has not ended.
 */
type Known = { live: Env | null; release: number | null; next: Env; ahead: Deployment | null }
type RouteOf = { app: string; owner: string; machines: string[] }
type Waiting = {
  emit: EventSink
  signal: AbortSignal
  /** No other deployment may start now, so this one must not wait for the router's. */
  isAlone: boolean
}

/** How the message of a deployment begins that changes routes alone. */
const ofRoutes = 'routes: '

/** For the calls to Fly of one comparison. */
const syncMs = 60_000

/** Changes of routes need no caller, and no quota refuses them. */
const gateway: Principal = {
  kind: 'gateway',
  name: 'gateway',
  tokenId: null,
  scopes: ['admin'],
  apps: null,
  owners: null,
  teams: null,
  address: null,
}

/**
 * The routes of routers. They are variables of the router's own app, so a change is an ordinary
 * deployment of it: with a verdict, and rolled back if it fails. Changes that come together become one,
 * because the newest deployment that waits replaces those before it.
 */
export class OwnerRoutes {
  readonly #deps: RouteDeps
  /** By router: one change at a time is worked out. */
  readonly #last = new Map<string, Promise<unknown>>()
  readonly #closing = new AbortController()

  constructor(deps: RouteDeps) {
    this.#deps = deps
  }

  has(app: string): boolean {
    return this.#deps.store.routers.find(app) !== null
  }

  /**
   * Sends an owner's requests to these machines, and resolves when the router does that. Resolves at
   * once if the app has no router that was ever live. Throws `router-failed`.
   */
  async route(target: RouteOf, { emit, signal, isAlone }: Waiting): Promise<void> {
    const { app, owner } = target
    const router = this.#deps.store.routers.find(app)?.router
    if (router === undefined) return
    for (let last = ''; ;) {
      const ahead = await this.#inTurn(router, () => this.#advance(router, target, signal))
      if (ahead === null) return
      // Also while others have not had their turn: they wait for this one.
      if (isAlone || this.#deps.store.hasSuspects()) {
        this.syncAfter(app, ahead.id)
        const text = `The gateway died while this ran, so it runs alone now. ${router} gets the route of ${owner} afterwards, by deployment ${ahead.id}.`
        return emit({ type: 'warning', text })
      }
      if (ahead.id !== last)
        emit({
          type: 'note',
          text: `Waiting for deployment ${ahead.id}: ${router} learns which machine requests for ${owner} go to.`,
        })
      last = ahead.id
      const ended = await untilEnd(this.#deps.store, ahead.id, signal)
      signal.throwIfAborted()
      // A new version of the router was not about this route.
      if (ended && !isVersion(ahead) && isFailed(ended)) throw failed(target, router, ended)
    }
  }

  /**
   * Compares the routes with the machines on Fly, and changes them if they differ. Does not wait for
   * that. Returns the deployment that changes them. Null: there is nothing to change, or another version
   * of the router is under way.
   */
  async sync(app: string, signal: AbortSignal): Promise<Deployment | null> {
    const router = this.#deps.store.routers.find(app)?.router
    if (router === undefined) return null
    return this.#inTurn(router, async () => {
      const { live, next, ahead } = await this.known(router)
      if (!live || isVersion(ahead)) return null
      const before = routesIn(next)
      const now = await this.now(app, before, signal)
      if (sameRoutes(before, now)) return null
      return this.#deploy(router, next, now, 'what runs on Fly')
    })
  }

  /**
   * The same when a deployment of the router has ended. A restart of the gateway forgets that; the daily
   * look does not.
   */
  syncAfter(app: string, deployment: string): void {
    const { signal } = this.#closing
    const sync = async () => {
      await untilEnd(this.#deps.store, deployment, signal)
      if (!signal.aborted)
        await this.sync(app, AbortSignal.any([signal, AbortSignal.timeout(syncMs)]))
    }
    sync().catch((err: unknown) => {
      if (!signal.aborted)
        this.#deps.log.warn({ err, app }, 'routes could not be compared with Fly')
    })
  }

  [Symbol.dispose](): void {
    this.#closing.abort()
  }

  /** The routes by what is on Fly. While a deployment changes the machines of an owner, its route stays. */
  async now(app: string, before: Routes, signal: AbortSignal): Promise<Routes> {
    const [routes, unfinished] = await Promise.all([
      this.#deps.deployer.machinesOfOwners(app, signal),
      this.#deps.store.status.unfinishedByTarget(),
    ])
    for (const target of unfinished) {
      const { owner, state } = target
      if (target.app !== app || !touchesMachines(state)) continue
      const route = before.get(owner)
      if (route) routes.set(owner, route)
      else routes.delete(owner)
    }
    return routes
  }

  /** Returns the deployment to wait for. Null: the router has the route. */
  async #advance(router: string, { app, owner, machines }: RouteOf, signal: AbortSignal) {
    const { live, next, ahead } = await this.known(router)
    const before = routesIn(next)
    const isNext = sameMachines(before.get(owner), machines)
    const isLive = sameMachines(live ? routesIn(live).get(owner) : [], machines)
    if (isNext && isLive) return null
    // It has another image than the release, so nothing may be made of the release now.
    if (isNext || !live || isVersion(ahead)) return ahead

    const routes = await this.now(app, before, signal)
    if (machines.length > 0) routes.set(owner, machines)
    else routes.delete(owner)
    return this.#deploy(router, next, routes, owner)
  }

  /** What the router runs, and what it is about to run. */
  async known(router: string): Promise<Known> {
    const { store } = this.#deps
    const { deployments } = await store.list(router, { limit: 10, before: null })
    const ahead = deployments.find(({ state }) => !isFinal(state)) ?? null
    const release = await store.releases.find(router, null)
    const live = release && (readDesired(release.desired).groups[0]?.config.env ?? {})
    const next = ahead?.options.env ?? live ?? {}
    return { live, release: release?.number ?? null, next, ahead }
  }

  #deploy(router: string, before: Env, routes: Routes, why: string): Promise<Deployment> {
    const env = routesEnv(routes)
    const withoutEnv = routeNames(before).filter((name) => !(name in env))
    const message = `${ofRoutes}${why}`
    const options = DeploymentOptions.parse({
      env,
      lane: 'latest',
      trigger: routerTrigger,
      message,
    })
    const about = { app: router, options, withoutEnv, idempotencyKey: null }
    return this.#deps.submissions.deployExisting(gateway, { release: 'newest' }, about)
  }

  #inTurn<T>(router: string, action: () => Promise<T>): Promise<T> {
    const result = (this.#last.get(router) ?? Promise.resolve()).then(action)
    this.#last.set(
      router,
      result.catch(() => {}),
    )
    return result
  }
}

/** Whether a deployment changes more than routes: a build of the router, or an earlier release. */
const isVersion = (deployment: Deployment | null): boolean =>
  deployment !== null && !deployment.options.message?.startsWith(ofRoutes)

const isFailed = ({ state }: Deployment): boolean => state !== 'live' && state !== 'superseded'

function failed({ app, owner }: RouteOf, router: string, { id, problem }: Deployment): Problem {
  const detail = `The router of ${app} did not learn which machine requests for ${owner} go to: deployment ${id} of ${router} failed (${problem?.detail ?? 'it was cancelled'}). See tarmac follow ${id}. Then deploy this again.`
  return new Problem('router-failed', detail, { facts: { router, deployment: id } })
}
