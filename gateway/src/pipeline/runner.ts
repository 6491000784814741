import type { Deployment } from '#api/deployment.ts'
import { Problem, problems } from '#api/problem.ts'
import { crashPoint } from '../crash-point.ts'
import { cancelled } from '../deployments/cancelled.ts'
import type { Claim, DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { runDeployment, type TimeLimits } from './run-deployment.ts'
import type { Plan, Steps } from './steps.ts'

type Parts<P extends Plan> = {
  store: DeploymentStore
  steps: Steps<P>
  log: Logger
  /** Whether queued deployments may be taken; who changes it wakes the runner. */
  mayStart?: () => boolean
  limits: TimeLimits & { builds: number; drainMs: number }
  /** The gateway's own secrets: in no log. */
  hide: readonly string[]
}

/** Takes queued deployments, oldest first, one at a time per app and `limits.builds` at once, and sees each to its end. */
export class Runner<P extends Plan = Plan> {
  readonly #parts: Parts<P>
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #cancels = new Map<string, AbortController>()
  #claiming: Promise<void> | undefined
  #woken = false
  #draining = false

  /** Puts right what an earlier gateway left, then begins. */
  static async start<P extends Plan>(parts: Parts<P>): Promise<Runner<P>> {
    const runner = new Runner(parts)
    for (const claim of await parts.store.recover('The gateway was stopped while it worked on this')) runner.#run(claim)
    runner.wake()
    return runner
  }

  private constructor(parts: Parts<P>) {
    this.#parts = parts
  }

  /** Something may be waiting. */
  wake(): void {
    this.#woken = true
    this.#claiming ??= this.#claimAll().finally(() => (this.#claiming = undefined))
  }

  /** Stops a deployment: at once what waits, else the work itself. See `wishCancel` for what it answers. */
  async cancel(id: string, wish: { by: string | null; why: string | null; abort: boolean }): Promise<Deployment> {
    const deployment = await this.#parts.store.wishCancel(id, wish)
    crashPoint('cancel-wished')
    this.#cancels.get(id)?.abort(cancelled(wish))
    return deployment
  }

  async #claimAll(): Promise<void> {
    const { limits, mayStart = () => true } = this.#parts
    while (this.#woken && !this.#draining && this.#running.size < limits.builds && mayStart()) {
      this.#woken = false // before the look: what comes during it wakes us again
      const claim = await this.#parts.store.claim()
      if (!claim) continue
      this.#woken = true
      this.#run(claim)
    }
  }

  #run(claim: Claim): void {
    const { store, steps, limits, hide } = this.#parts
    const { id: deploymentId, app } = claim.deployment
    const log = this.#parts.log.child({ deploymentId, app })
    const startedAt = performance.now()
    log.info({ state: claim.deployment.state, attempt: claim.deployment.attempt }, 'deployment taken up')
    const cancel = new AbortController()
    this.#cancels.set(deploymentId, cancel)
    if (claim.deployment.cancel) cancel.abort(cancelled(claim.deployment.cancel))
    const signal = AbortSignal.any([this.#stop.signal, cancel.signal])
    const work = runDeployment(claim, { store, steps, limits, hide }, signal).then(
      (problem) => {
        const ms = Math.round(performance.now() - startedAt)
        if (!problem) log.info({ ms }, 'deployment left')
        else if (problems[problem.code].fault === 'source') log.info({ ms, code: problem.code }, 'deployment failed')
        else
          log.error(
            { ms, code: problem.code, err: problem.cause ?? problem },
            'deployment failed by no fault of the source',
          )
      },
      (err: unknown) => log.error({ err }, 'deployment lost its runner'),
    )
    const tracked = work.finally(() => {
      this.#running.delete(tracked)
      this.#cancels.delete(deploymentId)
      this.wake()
    })
    this.#running.add(tracked)
  }

  /** Claims nothing more, gives running work its time, then sends it back to the queue. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true
    await this.#claiming
    const reason = new Problem('stopping', 'The gateway was stopped; this goes on when it is back.')
    const timer = setTimeout(() => this.#stop.abort(reason), this.#parts.limits.drainMs)
    await Promise.all(this.#running)
    clearTimeout(timer)
  }
}
