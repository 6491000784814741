import type { NewEvent } from '#api/event.ts'
import { Problem, asProblem } from '#api/problem.ts'
import type { MachineChanges } from '#fly/machine-changes.ts'
import type { MachineLease } from '#fly/machine-lease.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { ReleasesApi } from '#fly/releases-api.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { DeployJob } from './job.ts'
import { retryTransient } from './machines/retry.ts'
import { machineFacts } from './plan.ts'
import { snapshotOf, type Effect, type DeployProgress, type MachineStep } from './progress.ts'

export type Settings = {
  fly: MachinesApi
  /** Fly's own releases. Null: deploys are not registered there. */
  releases?: ReleasesApi | null
  /**
   * How long the gateway waits, after the end of a deploy, until Fly has registered its release.
   * Default: 90 s.
   */
  releaseWaitMs?: number
  /** For what the log of a deployment that has ended cannot say. */
  warnLater?: (text: string) => void
  org: string
  /** The host of the registry of the apps' images. */
  registry?: string
  /** URL of the app: `{app}` is its name, `{port}` where it listens. */
  urlTemplate: string
  /** URL of one owner's machine: `{owner}`, `{app}`, and `{port}` where it listens. */
  ownerUrlTemplate?: string
  /** How long the gateway watches for crashes before a release counts as live. */
  watchMs: number
  /** How long a machine may take to start, and again to pass its checks. */
  waitMs: number
  /** How long a program's last lines may take to appear in Fly's log. Default: 5 s. */
  logWaitMs?: number
  /**
   * How long an app may take to listen, after the watch, before a warning says that it does not.
   * Default: 15 s, as flyctl.
   */
  listenMs?: number
  /** How often the log says what a machine waits for, if nothing changes. Default: 10 s. */
  reportMs?: number
  /** How long Fly's proxy gets to notice a cordon or uncordon before the next step. */
  proxyMs: number
  /** The private network of new apps; null for the organisation's default. */
  network: string | null
  /**
   * The gateway's machine id. With it Fly finds an image in the mirror on the gateway's host, if the
   * gateway has pushed it there. Null: the gateway does not run on Fly.
   */
  builder: string | null
}

/** Maximum number of machines that change at once. */
export const maxParallel = 8

/** One running deploy: its job, its progress so far, and the methods that save more progress. */
export class Execution {
  readonly settings: Settings
  readonly job: DeployJob
  readonly progress: DeployProgress
  /** Stops waiting on the way forward: when the job's signal aborts or another machine fails. */
  readonly signal: AbortSignal
  /**
   * Stops effects and the rollback. Aborts only when the gateway stops, so that the result of every
   * effect is known.
   */
  readonly stopping: AbortSignal
  /** Resolves when the first effect on a machine is saved. */
  readonly whenTouched: Promise<void>
  readonly #touch = Promise.withResolvers<void>()
  readonly #failed = new AbortController()
  #saving: Promise<void> = Promise.resolve()
  #saveNext: Promise<void> | null = null
  #last: Promise<unknown> = Promise.resolve()
  #claimLost = false

  constructor(settings: Settings, job: DeployJob, progress: DeployProgress) {
    this.settings = settings
    this.job = job
    this.progress = progress
    this.signal = AbortSignal.any([job.signal, this.#failed.signal])
    this.stopping = stopSignalOf(job.signal)
    this.whenTouched = this.#touch.promise
    if (this.touched) this.#touch.resolve()
  }

  get waitMs(): number {
    return this.progress.desired.waitMs ?? this.settings.waitMs
  }

  /** A preview is ready as soon as it answers. */
  get watchMs(): number {
    return this.job.preview ? 0 : this.settings.watchMs
  }

  get logWaitMs(): number {
    return this.settings.logWaitMs ?? 5000
  }

  get listenMs(): number {
    return this.settings.listenMs ?? 15_000
  }

  /** Another gateway works on the deployment now. */
  get isClaimLost(): boolean {
    return this.#claimLost
  }

  get touched(): boolean {
    return this.progress.steps.some(({ outcome }) => outcome !== null)
  }

  /**
   * Runs `action` on several machines, `limit` at a time. A failure stops the waiting for the others.
   */
  forEachLimit(
    steps: MachineStep[],
    limit: number,
    action: (step: MachineStep) => Promise<void>,
  ): Promise<void> {
    return forEachLimit(steps, limit, action, this.#failed)
  }

  /** Repeats a read, or an effect that is safe to repeat, while Fly is unavailable. */
  retryWhileUnavailable<T>(look: () => Promise<T>): Promise<T> {
    return retryTransient(this.waitMs, this.signal, look)
  }

  /** Runs the actions one after another. */
  serialize<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action)
    this.#last = result.catch(() => {})
    return result
  }

  async lease(step: MachineStep, signal: AbortSignal = this.signal): Promise<MachineLease> {
    const description = `tarmac deployment ${this.job.id}${this.progress.rollbackReason ? ', rolling back' : ''}`
    const onHeld = (holder: string) =>
      this.job.emit({
        type: 'note',
        text: `The lease of machine ${step.machine} is held by ${holder}. The gateway waits for it, at most one minute.`,
      })
    const request = { description, nonce: step.lease, onHeld }
    const lease = await this.settings.fly.lease(this.refOf(step), request, signal)
    step.lease = lease.nonce
    return lease
  }

  /** For a machine that nobody else changes: a new one, or one after the release is live. */
  withoutLease(step: MachineStep): MachineChanges {
    return this.settings.fly.withoutLease(this.refOf(step))
  }

  refOf({ machine }: MachineStep): MachineRef {
    return { app: this.job.app, id: machine ?? '' }
  }

  /** Saves what is about to happen to a machine. */
  async recordIntent(step: MachineStep, effect: Effect): Promise<void> {
    step.intent = effect
    if (step.outcome === null || step.outcome === 'stuck') step.outcome = 'touched'
    await this.save()
    this.#touch.resolve()
  }

  /** Runs one save at a time. Calls that come while a save waits share that save. */
  save(): Promise<void> {
    this.#saveNext ??= this.#saving.then(() => {
      this.#saveNext = null
      return (this.#saving = this.#write())
    })
    return this.#saveNext
  }

  async #write(): Promise<void> {
    try {
      const rollout = snapshotOf(this.progress)
      await this.job.checkpoint({ rollout, machines: machineFacts(rollout) })
    } catch (error) {
      this.#claimLost = true
      this.#failed.abort(error)
      throw error
    }
  }

  emit(
    step: MachineStep,
    event: Omit<Extract<NewEvent, { type: 'machine' }>, 'type' | 'machine' | 'region'>,
  ): void {
    this.job.emit({
      type: 'machine',
      machine: step.machine ?? step.name,
      region: step.region,
      ...event,
    })
  }

  /**
   * Returns why a step failed if the machines need a rollback. Rethrows the reason if they must be
   * left alone.
   */
  rollbackReason(error: unknown): Problem {
    const { signal } = this.job
    const reason: unknown = signal.aborted ? signal.reason : error
    if (this.#claimLost || isStopping(signal) || !this.touched) throw reason
    return asProblem(reason)
  }
}

/** Aborts only when the gateway stops, not for the cancel request that caused a rollback. */
function stopSignalOf(signal: AbortSignal): AbortSignal {
  const stop = new AbortController()
  const listen = () => isStopping(signal) && stop.abort(signal.reason)
  if (signal.aborted) listen()
  else signal.addEventListener('abort', listen, { once: true })
  return stop.signal
}

const isStopping = (signal: AbortSignal): boolean =>
  signal.aborted && signal.reason instanceof Problem && signal.reason.code === 'stopping'
