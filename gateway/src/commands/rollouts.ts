import { randomUUIDv7 } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { type NewCancelRequest, type Deployment, isFinal } from '#api/deployment.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { asProblem, Problem } from '#api/problem.ts'
import type { NewRollout, Rollout, RolloutPage } from '#api/rollout.ts'
import { untilEnd } from '../deployments/follow.ts'
import type { StoredRollout } from '../deployments/rollout-store.ts'
import { cancelled } from '../deployments/stop.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { operator, type Principal } from './principal.ts'
import type { Submissions } from './submissions.ts'

type RolloutsDeps = {
  store: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed' | 'rollouts'>
  submissions: Pick<Submissions, 'look' | 'deployExisting'>
  /** Asks a deployment to stop. */
  cancel: (id: string, cancelRequest: NewCancelRequest) => Promise<unknown>
  log: Logger
}

const askAgainMs = 300

/**
 * Deploys one image to many targets. Each target gets its own deployment, `parallel` at a time.
 * Stops after `maxFailures` failures.
 */
export class Rollouts {
  readonly #deps: RolloutsDeps
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  /**
   * Why a running rollout starts no further targets, by its id. The record has this too, but is
   * large: it holds every target.
   */
  readonly #stopped = new Map<string, ProblemBody>()

  /** Resumes the rollouts that an earlier gateway did not finish. */
  static async start(deps: RolloutsDeps): Promise<Rollouts> {
    const rollouts = new Rollouts(deps)
    for (const left of await deps.store.rollouts.unfinished()) rollouts.#begin(left)
    return rollouts
  }

  private constructor(deps: RolloutsDeps) {
    this.#deps = deps
  }

  /** `build`: the deployment that builds the image. The same key returns the same rollout. */
  async create(
    _caller: Principal,
    { targets, ...asked }: NewRollout,
    build: string | null,
    request: { asked: unknown; idempotencyKey: string | null },
  ): Promise<Rollout> {
    const { store, submissions } = this.#deps
    const made = await store.rollouts.findByIdempotencyKey(request)
    if (made) return this.#shown(made)

    const { source } = asked
    if (source && (!('release' in source) || source.app !== undefined))
      await submissions.look(source, targets[0]!)

    const id = randomUUIDv7()
    const rollout = {
      id,
      ...asked,
      build,
      targets: targets.map((target) => ({ ...target, deployment: randomUUIDv7() })),
    }
    const kept = await store.rollouts.create(rollout, request)
    if (kept.id === id) this.#begin(kept)
    return this.#shown(kept)
  }

  async find(id: string): Promise<Rollout> {
    return this.#shown(await this.#kept(id))
  }

  async list(page: { limit: number; before: string | null }): Promise<RolloutPage> {
    const { rollouts, next } = await this.#deps.store.rollouts.list(page)
    return { rollouts: rollouts.map(summaryOf), next }
  }

  /** Starts no further targets, and cancels those that have begun. Does nothing after the end. */
  async cancel(id: string, cancelRequest: NewCancelRequest): Promise<Rollout> {
    const { build, targets, endedAt } = await this.#kept(id)
    if (endedAt === null) {
      await this.#stopRest(id, cancelled(cancelRequest).body())
      for (const made of [build, ...targets.map(({ deployment }) => deployment)]) {
        await nextTurn() // reads of the store are synchronous: let other work run between them
        if (made !== null) await this.#callBack(made, cancelRequest)
      }
    }
    return this.find(id)
  }

  async #kept(id: string): Promise<StoredRollout> {
    const kept = await this.#deps.store.rollouts.find(id)
    if (!kept) throw new Problem('rollout-not-found', `There is no rollout ${id.slice(0, 100)}.`)
    return kept
  }

  #begin(kept: StoredRollout): void {
    const log = this.#deps.log.child({ rolloutId: kept.id })
    const work = this.#run(kept).catch(async (err: unknown) => {
      log.error({ err }, 'rollout lost its runner')
      // Without this, other deployments might wait for the rollout.
      await this.#deps.store.rollouts.made(kept.id).catch(() => {})
    })
    const tracked = work.finally(() => {
      this.#running.delete(tracked)
      this.#stopped.delete(kept.id)
    })
    this.#running.add(tracked)
  }

  /** Each step checks the store first, so that a resumed rollout makes nothing twice. */
  async #run({
    id,
    build,
    source,
    targets,
    parallel,
    maxFailures,
    refused,
    problem,
  }: StoredRollout): Promise<void> {
    const { store, submissions } = this.#deps
    const stopped = () => problem ?? this.#stopped.get(id)

    const built = build === null ? null : await this.#ended(build)
    if (built && isFinal(built.state) && built.state !== 'built')
      await this.#stopRest(id, notBuilt(built).body())

    let failures = 0
    const queue = targets.values()
    const work = async () => {
      for (const { deployment, ...target } of queue) {
        await nextTurn() // reads of the store are synchronous: let other work run between them

        let why = refused[deployment] ?? null
        if (!why && !(await store.find(deployment))) {
          if (this.#stop.signal.aborted || stopped()) continue
          if (!(await this.#begun(id))) continue // the next start resumes the rollout
          why = await submissions
            .deployExisting(operator, source ?? { deployment: build! }, {
              ...target,
              id: deployment,
            })
            .then(
              () => null,
              (error: unknown) => asProblem(error).body(),
            )
          await store.rollouts.made(id)
          if (why) await store.rollouts.refuse(id, deployment, why)
          const late = stopped() // the rollout stopped while this deployment was being made
          if (late) await this.#callBack(deployment, ownCancelRequest(late.detail))
        }

        const failed = why !== null || isFailure(await this.#ended(deployment))
        if (failed && ++failures === maxFailures) {
          const detail = `Not begun: ${failures} of ${targets.length} targets failed, after which the rollout stops.`
          await this.#stopRest(id, new Problem('cancelled', detail).body())
          // Also cancel deployments that still wait in the queue. Running ones continue.
          for (const { deployment: other } of targets) {
            await nextTurn()
            if ((await store.find(other))?.state === 'pending')
              await this.#callBack(other, ownCancelRequest(detail))
          }
        }
      }
    }

    await Promise.all(Array.from({ length: parallel }, work))
    if (!this.#stop.signal.aborted) await store.rollouts.end(id)
  }

  /** Later calls do not change the reason. */
  async #stopRest(id: string, why: ProblemBody): Promise<void> {
    if (!this.#stopped.has(id)) this.#stopped.set(id, why)
    await this.#deps.store.rollouts.stop(id, why)
  }

  /** Waits until the rollout may make a deployment. False: the gateway stops before that. */
  async #begun(id: string): Promise<boolean> {
    while (!this.#stop.signal.aborted) {
      if (await this.#deps.store.rollouts.begin(id)) return true
      await sleep(askAgainMs, undefined, { signal: this.#stop.signal }).catch(() => {})
    }
    return false
  }

  /**
   * Cancels a deployment. Ignores Problems: the deployment may not exist, or, without `abort`, may
   * already change machines.
   */
  async #callBack(deployment: string, cancelRequest: NewCancelRequest): Promise<void> {
    await this.#deps.cancel(deployment, cancelRequest).catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error
    })
  }

  /** Waits for the deployment to end, or for the gateway to stop, and returns its record. */
  async #ended(id: string): Promise<Deployment> {
    return (await untilEnd(this.#deps.store, id, this.#stop.signal))!
  }

  async #shown({ targets: planned, refused, ...kept }: StoredRollout): Promise<Rollout> {
    const targets: Rollout['targets'] = []
    for (const { app, options, deployment: id } of planned) {
      await nextTurn()
      const made = await this.#deps.store.find(id)
      const left = kept.endedAt === null ? 'waiting' : 'cancelled'
      targets.push({
        app,
        owner: options.owner,
        deployment: made && id,
        state: made?.state ?? (refused[id] ? 'deploy_failed' : left),
        url: made?.url ?? null,
        problem: made?.problem ?? refused[id] ?? (made ? null : kept.problem),
      })
    }

    const counts: Rollout['counts'] = {}
    for (const { state } of targets) counts[state] = (counts[state] ?? 0) + 1
    return { ...kept, counts, targets }
  }

  /** Leaves running deployments alone. The next start resumes the rollouts. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
  }
}

const summaryOf = ({
  id,
  createdAt,
  endedAt,
  parallel,
  maxFailures,
  source,
  build,
  problem,
  targets,
}: StoredRollout) => {
  return {
    id,
    createdAt,
    endedAt,
    parallel,
    maxFailures,
    source,
    build,
    problem,
    targets: targets.length,
  }
}

const isFailure = ({ state }: Deployment): boolean =>
  isFinal(state) && (state === 'deploy_failed' || state === 'build_failed')

const notBuilt = ({ id, state, problem }: Deployment): Problem =>
  new Problem(
    'cancelled',
    `Not begun: deployment ${id}, which was to build the image, is ${state}. ${problem?.detail ?? ''}`,
  )

const ownCancelRequest = (why: string): NewCancelRequest => ({
  by: 'its rollout',
  why,
  abort: false,
})
