import { Problem } from '#api/problem.ts'
import type { DrainFacts } from '#api/status/drain.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import type { Principal } from '../callers/principal.ts'

type DrainDeps = {
  store: Pick<DeploymentStore, 'countUnfinished'>
  runner: {
    running(): number
    pause(): void
    stopRunning(): void
    resume(): Promise<void>
  }
  log: Logger
}

/** So long after the limit a gateway that nobody has replaced takes work again. */
const forgottenMs = 15 * 60_000
const retryAfterSeconds = 60

/**
 * Empties the gateway before it is replaced: it takes no new work, and what runs ends or is stopped
 * after a limit. A restart ends the drain.
 */
export class Drain {
  readonly #deps: DrainDeps
  #times: { since: Date; stopsAt: Date; endsAt: Date } | null = null
  #timers: NodeJS.Timeout[] = []
  #uploads = 0

  constructor(deps: DrainDeps) {
    this.#deps = deps
  }

  /** A second call sets a new limit. */
  start(_caller: Principal, limitMs: number): Promise<DrainFacts> {
    const { runner, log } = this.#deps
    this.#clear()
    const now = Date.now()
    this.#times = {
      since: this.#times?.since ?? new Date(now),
      stopsAt: new Date(now + limitMs),
      endsAt: new Date(now + limitMs + forgottenMs),
    }
    runner.pause()
    log.info({ limitMs, running: runner.running() }, 'draining: no new work is taken')
    this.#timers = [
      setTimeout(() => runner.stopRunning(), limitMs),
      setTimeout(() => {
        log.warn('drained, but not replaced: the gateway takes work again')
        this.#end().catch((err: unknown) => log.error({ err }, 'drain did not end'))
      }, limitMs + forgottenMs),
    ]
    return this.#facts()
  }

  status(_caller: Principal): Promise<DrainFacts> {
    return this.#facts()
  }

  async end(_caller: Principal): Promise<DrainFacts> {
    if (this.#times) await this.#end()
    return this.#facts()
  }

  /** Throws `draining`. */
  assertAccepting(): void {
    if (!this.#times) return
    const detail = `The gateway takes no new work since ${this.#times.since.toISOString()}, because it is about to be replaced by another version. Send this again in ${retryAfterSeconds} s.`
    throw new Problem('draining', detail, { facts: { retryAfterSeconds } })
  }

  /** Throws `not-drained` unless nothing runs and nothing can start. */
  assertDrained(): void {
    const [running, uploads] = [this.#deps.runner.running(), this.#uploads]
    if (this.#times && running === 0 && uploads === 0) return
    const detail = this.#times
      ? `The gateway still ends ${running} deployments and ${uploads} uploads. Wait until GET /v1/drain says drained. tarmac restore does all of that.`
      : 'The gateway takes work. Restore with tarmac restore, which drains it first (POST /v1/drain).'
    throw new Problem('not-drained', detail)
  }

  /** A command that refuses with `draining` while the gateway drains. */
  whileOpen<A extends unknown[], R>(
    command: (...args: A) => Promise<R>,
  ): (...args: A) => Promise<R> {
    return async (...args) => {
      this.assertAccepting()
      return command(...args)
    }
  }

  /** Counts an upload until the result is disposed. Throws `draining`. */
  upload(): Disposable {
    this.assertAccepting()
    this.#uploads++
    return { [Symbol.dispose]: () => void this.#uploads-- }
  }

  [Symbol.dispose](): void {
    this.#clear()
  }

  async #end(): Promise<void> {
    this.#clear()
    this.#times = null
    await this.#deps.runner.resume()
  }

  #clear(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
  }

  async #facts(): Promise<DrainFacts> {
    const unfinished = await this.#deps.store.countUnfinished()
    const [running, uploads, times] = [this.#deps.runner.running(), this.#uploads, this.#times]
    const isEmpty = running === 0 && uploads === 0
    return {
      state: times === null ? 'working' : isEmpty ? 'drained' : 'draining',
      since: times?.since.toISOString() ?? null,
      stopsAt: times?.stopsAt.toISOString() ?? null,
      endsAt: times?.endsAt.toISOString() ?? null,
      running,
      uploads,
      queued: Math.max(0, unfinished - running),
    }
  }
}
