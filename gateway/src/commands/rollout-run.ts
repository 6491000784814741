import { setTimeout as sleep } from 'node:timers/promises'
import { type Deployment, isFinal, type NewCancelRequest } from '#api/deployment.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { asProblem, Problem } from '#api/problem.ts'
import { untilEnd } from '../deployments/follow.ts'
import { ownRollout } from '../deployments/stop.ts'
import type { StoredRollout } from '../deployments/rollout-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { TimeSlice } from '../time-slice.ts'
import type { Principal } from '../callers/principal.ts'
import type { Submissions } from './submissions.ts'

export type RolloutRunDeps = {
  /** Who asked for the rollout. */
  caller: Principal
  store: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed' | 'rollouts'>
  submissions: Pick<Submissions, 'look' | 'deployExisting'>
  /** Asks a deployment to stop. */
  cancel: (id: string, cancelRequest: NewCancelRequest) => Promise<unknown>
}
type Target = StoredRollout['targets'][number]

const askAgainMs = 300
/** Reads of the store are synchronous: other work runs between them. */
export const sliceMs = 10

/**
 * A rollout that runs in this gateway. Each step checks the store first, so that a resumed rollout
 * makes nothing twice.
 */
export class RolloutRun {
  readonly #rollout: StoredRollout
  readonly #deps: RolloutRunDeps
  /** Aborts when the gateway stops. Then running deployments go on without the rollout. */
  readonly #signal: AbortSignal
  readonly #slice = new TimeSlice(sliceMs)
  /**
   * Why it starts no further targets. The record has this too, but is large: it holds every target.
   */
  #stopped: ProblemBody | null
  #failures = 0

  constructor(rollout: StoredRollout, deps: RolloutRunDeps, signal: AbortSignal) {
    this.#rollout = rollout
    this.#deps = deps
    this.#signal = signal
    this.#stopped = rollout.problem
  }

  /** Deploys to `parallel` targets at a time, until all have ended or the gateway stops. */
  async run(): Promise<void> {
    const { id, build, targets, parallel } = this.#rollout
    const built = build === null ? null : await this.#ended(build)
    if (built && isFinal(built.state) && built.state !== 'built')
      await this.stop(notBuilt(built).body())

    const queue = targets.values()
    const work = async () => {
      for (const target of queue) {
        await this.#slice.yield()
        await this.#deployTo(target)
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    if (!this.#signal.aborted) await this.#deps.store.rollouts.end(id)
  }

  /** Starts no further targets. Later calls do not change the reason. */
  async stop(why: ProblemBody): Promise<void> {
    this.#stopped ??= why
    await this.#deps.store.rollouts.stop(this.#rollout.id, why)
  }

  /** Makes the deployment of a target unless it exists, and waits for its end. */
  async #deployTo(target: Target): Promise<void> {
    const { refused, maxFailures } = this.#rollout
    let why = refused[target.deployment] ?? null
    if (!why && !(await this.#deps.store.find(target.deployment))) {
      if (this.#signal.aborted || this.#stopped) return
      if (!(await this.#begun())) return // the next start resumes the rollout
      why = await this.#make(target)
    }

    const failed = why !== null || isFailure(await this.#ended(target.deployment))
    if (failed && ++this.#failures === maxFailures) await this.#giveUp()
  }

  /** Waits until the rollout may make a deployment. False: the gateway stops before that. */
  async #begun(): Promise<boolean> {
    while (!this.#signal.aborted) {
      if (await this.#deps.store.rollouts.begin(this.#rollout.id)) return true
      await sleep(askAgainMs, undefined, { signal: this.#signal }).catch(() => {})
    }
    return false
  }

  /** Makes a deployment. Returns why it was refused; null: it was made. */
  async #make({ deployment, ...target }: Target): Promise<ProblemBody | null> {
    const { id, source, build } = this.#rollout
    const { store, submissions, cancel, caller } = this.#deps
    const why = await submissions
      .deployExisting(caller, source ?? { deployment: build! }, {
        ...target,
        id: deployment,
        inPlace: true, // one image for many apps
      })
      .then(
        () => null,
        (error: unknown) => asProblem(error).body(),
      )
    await store.rollouts.made(id)
    if (why) await store.rollouts.refuse(id, deployment, why)
    // If the rollout stopped while this deployment was being made, nobody else cancels it.
    if (this.#stopped)
      await cancelIfMade(cancel, deployment, ownCancelRequest(this.#stopped.detail))
    return why
  }

  /** Stops after too many failures. Running deployments continue. */
  async #giveUp(): Promise<void> {
    const { store, cancel } = this.#deps
    const { targets } = this.#rollout
    const detail = `The rollout stopped because ${this.#failures} of ${targets.length} targets failed. This target had not begun; its machines are unchanged.`
    await this.stop(new Problem('rollout-stopped', detail).body())

    // Also cancel deployments that still wait in the queue.
    for (const { deployment } of targets) {
      await this.#slice.yield()
      if ((await store.find(deployment))?.state === 'pending')
        await cancelIfMade(cancel, deployment, ownCancelRequest(detail))
    }
  }

  /** Waits for the deployment to end, or for the gateway to stop, and returns its record. */
  async #ended(id: string): Promise<Deployment> {
    return (await untilEnd(this.#deps.store, id, this.#signal))!
  }
}

/**
 * Cancels a deployment. Ignores Problems: the deployment may not exist, or, without `abort`, may
 * already change machines.
 */
export async function cancelIfMade(
  cancel: RolloutRunDeps['cancel'],
  deployment: string,
  request: NewCancelRequest,
): Promise<void> {
  await cancel(deployment, request).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error
  })
}

const isFailure = ({ state }: Deployment): boolean =>
  isFinal(state) && (state === 'deploy_failed' || state === 'build_failed')

const notBuilt = ({ id, state, problem }: Deployment): Problem =>
  new Problem(
    'rollout-stopped',
    `The rollout stopped because deployment ${id}, which builds its image, is ${state}. ${problem?.detail ?? ''}`,
  )

const ownCancelRequest = (why: string): NewCancelRequest => ({
  by: ownRollout,
  why,
  abort: false,
})
