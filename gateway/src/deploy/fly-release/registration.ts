import { asProblem, Problem } from '#api/problem.ts'
import { isUnavailable } from '#fly/fly-calls.ts'
import type { FlyRelease, FlyReleaseStatus, ReleasesApi } from '#fly/releases-api.ts'
import { retry, unlessAborted } from '#api/flow/retry.ts'
import type { Execution } from '../execution.ts'
import type { FlyReleaseProgress } from '../progress.ts'
import { markMachines } from './mark-machines.ts'
import { releaseOf } from './new-release.ts'
import { texts } from './texts.ts'

const attempts = 3
const retryMs = 2000
/** How many releases are read to find one that was asked for before a crash. */
const mostRead = 20
/** How long marks and status may take at the end of a deploy. */
const finishMs = 10_000

type Made = NonNullable<FlyReleaseProgress['made']>
type RegistrationDeps = {
  releases: ReleasesApi
  /** How long the gateway waits for Fly's answer after the deploy has ended. */
  waitMs: number
  /** For what the log of a deployment that has ended cannot say. */
  warnLater: (text: string) => void
}

/**
 * Registers a deploy with Fly, as flyctl does, so that flyctl knows what runs. It works beside the
 * rollout: no deploy waits for it or fails by it. The request goes out when the first machine is
 * about to change. It is saved before, so that a gateway that resumes the deploy does not repeat it.
 */
export class Registration {
  readonly #deps: RegistrationDeps
  readonly #stop = new AbortController()
  readonly #answer: Promise<Made | null>
  readonly #touch = Promise.withResolvers<void>()
  #execution: Execution
  #isAnswered = false
  /** The deployment's record is final: nothing more can be saved, or written to its log. */
  #isOver = false
  #late: Promise<void> = Promise.resolve()

  constructor(deps: RegistrationDeps, execution: Execution) {
    this.#deps = deps
    this.#execution = execution
    this.attach(execution)
    this.#answer = this.#register()
      .catch((error: unknown) => this.#refused(error))
      .finally(() => (this.#isAnswered = true))
  }

  /** Goes on with the execution of the deploy's next stage, which saves the progress from now on. */
  attach(execution: Execution): void {
    const { flyRelease } = this.#execution.progress
    if (flyRelease) execution.progress.flyRelease = flyRelease
    this.#execution = execution
    const { stopping, whenTouched } = execution
    void whenTouched.then(() => this.#touch.resolve())
    const stop = () => this.close(stopping.reason)
    if (stopping.aborted) stop()
    else stopping.addEventListener('abort', stop, { once: true })
  }

  /** Marks the machines, and says to Fly that the release is complete. */
  succeed(): Promise<void> {
    return this.#end({ status: 'complete' })
  }

  /** Says to Fly that the release has failed. The machines have their earlier marks again. */
  async fail(error: unknown): Promise<void> {
    const { code, message } = asProblem(error)
    if (code === 'stopping') return
    if (!this.#execution.progress.flyRelease) return this.close()
    const isEndedByCaller = code === 'cancelled' || code === 'superseded'
    await this.#end({ status: isEndedByCaller ? 'interrupted' : 'failed', error: message })
  }

  /** Gives up. A gateway that resumes the deploy goes on. */
  close(reason?: unknown): void {
    if (this.#isOver && !this.#isAnswered && !isLate(reason)) this.#warn(texts.stopped)
    this.#stop.abort(reason)
  }

  /** Resolves when nothing is left to do. */
  settled(): Promise<void> {
    return this.#late
  }

  async #end(end: { status: FlyReleaseStatus; error?: string }): Promise<void> {
    if (this.#isOver) return
    if (this.#isAnswered) return await this.#finish(end)
    if (end.status === 'complete') this.#warn(texts.unanswered(this.#deps.waitMs))
    this.#isOver = true
    const timer = setTimeout(() => this.close(new Error(lateReason)), this.#deps.waitMs)
    this.#late = this.#finish(end)
      .catch(() => {})
      .finally(() => clearTimeout(timer))
  }

  async #finish(end: { status: FlyReleaseStatus; error?: string }): Promise<void> {
    const made = await this.#answer
    if (!made) return
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(finishMs)])
    if (end.status === 'complete')
      await markMachines(this.#execution, made, signal).catch((error: unknown) =>
        this.#warnOf(texts.unmarked(made), error),
      )
    await this.#deps.releases
      .setStatus(made.id, end, signal)
      .catch((error: unknown) => this.#warnOf(texts.statusRefused(made, end.status), error))
    if (end.status !== 'complete')
      await this.#restoreNewest(made, signal).catch((error: unknown) =>
        this.#warnOf(texts.notRestored(made), error),
      )
  }

  /**
   * The failed release would stay the newest, from which flyctl makes machines. Registers the one
   * before again: that one runs.
   */
  async #restoreNewest({ version: failed }: Made, signal: AbortSignal): Promise<void> {
    const { app } = this.#execution.job
    const { after = 0 } = this.#execution.progress.flyRelease ?? {}
    const { releases } = this.#deps
    if (after === 0 || (await this.#newest(signal))[0]?.version !== failed) return
    const before = await releases.complete(app, after, signal)
    if (!before) return
    const { id, version } = await releases.create(before, signal)
    await releases.setStatus(id, { status: 'complete' }, signal)
    this.#note(texts.restored(after, version))
  }

  async #register(): Promise<Made> {
    const { signal } = this.#stop
    const known = this.#execution.progress.flyRelease
    if (known?.made) return known.made
    await unlessAborted(this.#touch.promise, signal)

    const after = known?.after ?? (await this.#newest(signal))[0]?.version ?? 0
    await this.#save({ after, made: null })
    const create = async (attempt: number) => {
      const found = known || attempt > 1 ? await this.#find(after, signal) : null
      if (found) return found
      if (this.#execution.progress.rollbackReason) throw new Error('nothing is left to register')
      return await this.#deps.releases.create(releaseOf(this.#execution), signal)
    }
    const policy = {
      isRetryable: isUnavailable,
      pauseMs: (attempt: number) => (attempt > attempts ? null : retryMs),
    }
    const { id, version } = await retry(create, policy, signal)

    await this.#save({ after, made: { id, version } })
    this.#note(texts.registered(version))
    await this.#deps.releases.setStatus(id, { status: 'running' }, signal).catch(() => {})
    return { id, version }
  }

  /** The release that an earlier request has made: its answer was lost. */
  async #find(after: number, signal: AbortSignal): Promise<FlyRelease | undefined> {
    const { image: own } = this.#execution.job
    const isOurs = ({ version, status, image_ref: image }: FlyRelease) =>
      version > after &&
      !['complete', 'failed', 'interrupted'].includes(status ?? '') &&
      (image === own.reference || image?.endsWith(`@${own.digest}`))
    return (await this.#newest(signal, mostRead)).find(isOurs)
  }

  #newest(signal: AbortSignal, limit = 1): Promise<FlyRelease[]> {
    return this.#deps.releases.newest(this.#execution.job.app, limit, signal)
  }

  async #save(flyRelease: FlyReleaseProgress): Promise<void> {
    this.#execution.progress.flyRelease = flyRelease
    if (!this.#isOver) await this.#execution.save()
  }

  /** The deploy goes on without a release of Fly's. */
  #refused(error: unknown): null {
    const { aborted, reason } = this.#stop.signal
    if (aborted && isLate(reason)) this.#warn(texts.gaveUp(this.#deps.waitMs))
    // Any other error means that the gateway stops, or has lost the deployment.
    else if (!aborted && error instanceof Problem) this.#warn(texts.refused(error.message))
    return null
  }

  #warnOf(text: (why: string) => string, error: unknown): void {
    this.#stop.signal.throwIfAborted()
    this.#warn(text(asProblem(error).message))
  }

  #note(text: string): void {
    if (!this.#isOver) this.#execution.job.emit({ type: 'note', text })
  }

  #warn(text: string): void {
    const { job } = this.#execution
    if (this.#isOver) this.#deps.warnLater(`${job.app}, deployment ${job.id}: ${text}`)
    else job.emit({ type: 'warning', text })
  }
}

const lateReason = 'Fly did not answer in time'
const isLate = (reason: unknown): boolean =>
  reason instanceof Error && reason.message === lateReason
