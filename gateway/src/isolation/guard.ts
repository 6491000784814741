import { setTimeout as sleep } from 'node:timers/promises'
import { asProblem, Problem } from '#api/problem.ts'
import type { Logger } from '../log.ts'
import { unlessAborted } from '#api/flow/retry.ts'

type GuardDeps = {
  /**
   * Verifies that build steps reach nothing of the gateway, and returns a summary. Throws a Problem
   * that says what is wrong.
   */
  prove(signal: AbortSignal): Promise<string>
  /** The id of the current daemon. It changes when the daemon is replaced. Null: there is none. */
  daemon(): string | null
  /** What an earlier gateway has proven of this daemon under the same circumstances. */
  earlier?(daemon: string): string | null
  /** Called after each proof. */
  proven?(daemon: string, detail: string): void
  /** Called after each probe build that shows that steps are not isolated. */
  failed?(): void
  log: Logger
}

const pollMs = 500
const proveMs = 60_000
const maxPauseMs = 30_000
const unproven = new Problem(
  'not-ready',
  'no probe build has ended yet with the current build daemon',
)
const isUnavailable = ({ code }: Problem) => code === 'buildkit-unavailable'

/**
 * Lets builds run only against a daemon whose steps are proven isolated. It verifies this at the
 * start, and again when the daemon is replaced. After a failure it tries again with growing pauses.
 */
export class NetworkGuard {
  readonly #deps: GuardDeps
  readonly #stop = new AbortController()
  #proof: { daemon: string | null; detail: string } | null = null
  /** Proof of an earlier gateway, until this one has looked itself. No build runs on it. */
  #earlier: { daemon: string; detail: string } | null = null
  /** Why there is no proof for the current daemon. */
  #missing: Problem = unproven
  #proving: Promise<void> | undefined
  #pauseMs = pollMs
  #tried: string | null = null
  #nextTry = 0
  readonly #listeners: (() => void)[] = []

  static start(deps: GuardDeps): NetworkGuard {
    const guard = new NetworkGuard(deps)
    const daemon = deps.daemon()
    const detail = daemon === null ? null : (deps.earlier?.(daemon) ?? null)
    if (daemon !== null && detail !== null) guard.#earlier = { daemon, detail }
    void guard.#watch()
    return guard
  }

  private constructor(deps: GuardDeps) {
    this.#deps = deps
  }

  /**
   * For the health page. After a restart of the gateway, the proof of the one before counts here
   * until the new one is there.
   */
  get status(): { ok: boolean; detail: string } {
    const daemon = this.#deps.daemon()
    if (this.#isProven) return { ok: true, detail: this.#proof!.detail }
    if (this.#earlier && this.#earlier.daemon === daemon)
      return { ok: true, detail: `${this.#earlier.detail}, before the last start: looking again` }
    return { ok: false, detail: this.#missing.message }
  }

  get #isProven(): boolean {
    const daemon = this.#deps.daemon()
    return daemon !== null && daemon === this.#proof?.daemon
  }

  /**
   * Whether the gateway accepts work: not before the first proof, and not after a failed one. It
   * still accepts work while the daemon is unavailable.
   */
  get open(): boolean {
    const waits =
      this.#proof !== null && (this.#missing === unproven || isUnavailable(this.#missing))
    return waits || this.status.ok
  }

  /** Calls `listener` after each proof: `open` may have become true. */
  onOpen(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Throws while the gateway accepts no work. */
  assertAccepting(): void {
    if (!this.open) throw this.#refusal()
  }

  /**
   * Resolves when builds are safe; throws otherwise. For a new daemon it runs a probe build first.
   */
  async proven(signal: AbortSignal): Promise<void> {
    if (!this.#isProven) await unlessAborted(this.#prove(), signal)
    if (!this.#isProven) throw isUnavailable(this.#missing) ? this.#missing : this.#refusal()
  }

  #refusal(): Problem {
    return new Problem(
      'not-ready',
      `No build runs until the isolation of build steps is verified: ${this.#missing.message}.`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#proving
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const due = this.#deps.daemon() !== this.#tried || performance.now() >= this.#nextTry
      if (due && !this.#isProven) await this.#prove()
      await sleep(pollMs, undefined, { ref: false, signal: this.#stop.signal }).catch(() => {})
    }
  }

  #prove(): Promise<void> {
    return (this.#proving ??= this.#proveOnce().finally(() => (this.#proving = undefined)))
  }

  async #proveOnce(): Promise<void> {
    const { log } = this.#deps
    const daemon = this.#deps.daemon()
    if (daemon !== this.#tried) this.#pauseMs = pollMs
    this.#tried = daemon

    const limit = AbortSignal.timeout(proveMs)
    try {
      const detail = await this.#deps.prove(AbortSignal.any([this.#stop.signal, limit]))
      log.info({ detail }, 'the isolation of build steps is verified')
      this.#proof = { daemon, detail }
      this.#earlier = null
      if (daemon !== null) this.#deps.proven?.(daemon, detail)
      this.#missing = unproven
      this.#pauseMs = pollMs
      for (const listener of this.#listeners) listener()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const late = new Problem('not-ready', `the probe build took longer than ${proveMs / 1000} s`)
      const problem = limit.aborted ? late : asProblem(error)
      if (problem.message !== this.#missing.message)
        log.error({ err: error }, 'the isolation of build steps is not verified')
      this.#missing = problem
      this.#earlier = null
      if (!isUnavailable(problem)) this.#deps.failed?.()
      this.#nextTry = performance.now() + this.#pauseMs
      this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
    }
  }
}
