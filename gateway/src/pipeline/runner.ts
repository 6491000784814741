import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { QueueLimits } from '../deployments/queue.ts'
import { stopReason } from '../deployments/stop.ts'
import type { Claim, DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { keepLease } from './claims/keep-lease.ts'
import { logEnd } from './log-end.ts'
import { runDeployment } from './run-deployment.ts'
import type { Steps } from './steps.ts'
import type { TimeLimits } from './time-limits.ts'
import { UnsavedEnds } from './claims/unsaved-ends.ts'

type RunnerDeps = {
  store: DeploymentStore
  steps: Steps
  log: Logger
  /** While it is closed, no queued deployment starts. Absent: it is always open. */
  gate?: { readonly open: boolean; onOpen(listener: () => void): void }
  /** `deaths`: see `startLife`. */
  limits: TimeLimits & QueueLimits & { drainMs: number; deaths: number }
  /** The kernel's id of this boot of the machine. */
  boot: string
  /** The gateway's own secrets, redacted from every log. */
  hiddenValues: (app: string) => readonly string[]
  /** How often the lease of a running deployment is renewed. */
  renewMs?: number
}

const noticeEveryMs = 1000
/** After a look at the queue the rest of the gateway gets so many times as long. */
const restPerLook = 4

/**
 * Claims deployments from the queue, within the limits, and runs each to its end. Looks at the queue
 * whenever the store says that something may start.
 */
export class Runner {
  readonly #deps: RunnerDeps
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #stops = new Map<string, AbortController>()
  readonly #unsaved: UnsavedEnds
  #claiming: Promise<void> | undefined
  #woken = false
  #noticeTimer = 0
  #restsUntil = 0
  #later: NodeJS.Timeout | undefined
  #listening: Disposable | undefined
  #paused = false
  #draining = false
  #drained: Promise<void> | undefined

  /** Recovers what an earlier gateway left, then starts on the queue. */
  static async start(deps: RunnerDeps): Promise<Runner> {
    const runner = new Runner(deps)
    const life = { boot: deps.boot, maxDeaths: deps.limits.deaths }
    const { claims, ended } = await deps.store.startLife(life, 'The gateway stopped while this ran')
    for (const { id: deploymentId, app, problem } of ended)
      deps.log.error({ deploymentId, app, problem }, 'deployment ended at the start of the gateway')
    for (const claim of claims) runner.#run(claim)
    runner.#listen()
    return runner
  }

  private constructor(deps: RunnerDeps) {
    this.#deps = deps
    const { store, limits } = deps
    this.#unsaved = new UnsavedEnds({ store, times: limits.deaths, everyMs: noticeEveryMs })
  }

  #listen(): void {
    const { store, gate } = this.#deps
    this.#listening = store.onQueueChange(() => this.#wake())
    gate?.onOpen(() => this.#wake())
    this.#wake()
  }

  /** Looks at the queue: a deployment may be waiting. */
  #wake(): void {
    this.#woken = true
    this.#claiming ??= this.#schedule()
      .catch((err: unknown) => {
        this.#deps.log.error({ err }, 'queue could not be read')
        this.#wakeIn(noticeEveryMs)
      })
      .finally(() => {
        this.#claiming = undefined
        if (this.#woken) this.#wake()
      })
  }

  /**
   * Cancels a deployment: a queued one ends at once, a running one is aborted. See
   * `DeploymentStore.requestCancel` for the result and the Problems.
   */
  async cancel(
    id: string,
    request: { by: string | null; why: string | null; abort: boolean },
  ): Promise<Deployment> {
    const deployment = await this.#deps.store.requestCancel(id, request)
    crashPoint('cancel-requested')
    await this.#applyStopRequests()
    return deployment
  }

  async #schedule(): Promise<void> {
    const { store, limits, gate } = this.#deps
    const limitsNow = () => (gate?.open === false ? null : limits)
    while (this.#woken) {
      const restMs = this.#restsUntil - performance.now()
      if (restMs > 0) await sleep(restMs)
      this.#woken = false // reset first: a wake during the work below causes another round
      await this.#applyStopRequests()
      await this.#claimAll(limitsNow)
      await nextTurn()
      if (this.#isClosed()) return
      const pauseMs = this.#noticeTimer - performance.now()
      if (pauseMs > 0) this.#wakeIn(pauseMs)
      else {
        const from = performance.now()
        await store.publishQueuePositions(limitsNow())
        const tookMs = performance.now() - from // a queue of ten thousand takes a while
        this.#noticeTimer = performance.now() + Math.max(noticeEveryMs, 20 * tookMs)
      }
    }
  }

  async #claimAll(limits: () => QueueLimits | null): Promise<void> {
    for (let from = performance.now(); !this.#isClosed(); from = performance.now()) {
      const claim = await this.#deps.store.claim(limits())
      const tookMs = performance.now() - from
      if (!claim) {
        this.#restsUntil = from + (1 + restPerLook) * tookMs
        return
      }
      this.#run(claim)
    }
  }

  #wakeIn(pauseMs: number): void {
    clearTimeout(this.#later)
    if (!this.#draining) this.#later = setTimeout(() => this.#wake(), pauseMs)
  }

  /** Aborts running deployments whose record says that they are cancelled or superseded. */
  async #applyStopRequests(): Promise<void> {
    for (const [id, stop] of this.#stops) {
      const found = await this.#deps.store.find(id)
      const request = found && stopReason(found)
      if (request) stop.abort(request)
    }
  }

  #run(claim: Claim): void {
    const { store, steps, limits, hiddenValues, renewMs } = this.#deps
    const { id: deploymentId, app, state, attempt } = claim.deployment
    const log = this.#deps.log.child({ deploymentId, app })

    const startedAt = performance.now()
    log.info({ state, attempt, suspect: claim.suspect }, 'deployment claimed')

    const stop = new AbortController()
    this.#stops.set(deploymentId, stop)
    const request = stopReason(claim.deployment)
    if (request) stop.abort(request)
    const signal = AbortSignal.any([this.#stop.signal, stop.signal])

    const lease = keepLease(claim, { store, log, everyMs: renewMs }, stop)

    const logFailed = (err: unknown) =>
      log.error({ err }, 'log of the deployment could not be written')
    const deps = { store, steps, limits, hiddenValues: hiddenValues(app), logFailed }
    const ended = runDeployment(claim, deps, signal).then(
      (problem) => logEnd(log, problem, Math.round(performance.now() - startedAt)),
      async (err: unknown) => {
        log.error({ err }, 'deployment lost its runner')
        const claims = await this.#unsaved.claim(deploymentId, () => this.#draining)
        for (const again of claims) this.#run(again)
      },
    )

    const tracked = ended.finally(() => {
      lease[Symbol.dispose]()
      this.#running.delete(tracked)
      if (this.#stops.get(deploymentId) === stop) this.#stops.delete(deploymentId)
    })
    this.#running.add(tracked)
  }

  /** How many deployments run now. */
  readonly running = (): number => this.#running.size
  readonly #isClosed = (): boolean => this.#draining || this.#paused

  /** Starts nothing more until `resume`. */
  pause(): void {
    this.#paused = true
  }

  /** Stops what runs. It goes on after `resume`, or after the next start of the gateway. */
  stopRunning(): void {
    for (const stop of this.#stops.values())
      stop.abort(new Problem('stopping', 'The gateway is drained. This continues afterwards.'))
  }

  /** Starts on the queue again. */
  async resume(): Promise<void> {
    if ([...this.#stops.values()].some(({ signal }) => signal.aborted))
      await Promise.all(this.#running)
    this.#paused = false
    const left =
      this.#running.size > 0 ? [] : await this.#deps.store.recover('A drain stopped this')
    for (const claim of left) this.#run(claim)
    this.#wake()
  }

  /** Claims nothing more. Waits `drainMs` for running work, then aborts it until the next start. */
  drain(): Promise<void> {
    return (this.#drained ??= this.#drain())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain()
  }

  async #drain(): Promise<void> {
    this.#draining = true
    this.#listening?.[Symbol.dispose]()
    clearTimeout(this.#later)

    // Record this at once. If the gateway is killed from now on, for example by the host's stop
    // timeout, no deployment is suspected.
    await this.#deps.store
      .endLife()
      .catch((err: unknown) => this.#deps.log.error({ err }, 'stop was not recorded'))
    await this.#claiming

    const reason = new Problem('stopping', 'The gateway stopped. This continues after the restart.')
    const { log, limits } = this.#deps
    if (this.#running.size > 0)
      log.info({ running: this.#running.size, drainMs: limits.drainMs }, 'draining')

    const timer = setTimeout(() => this.#stop.abort(reason), limits.drainMs)
    await Promise.all(this.#running)
    clearTimeout(timer)
    await this.#claiming
  }
}
