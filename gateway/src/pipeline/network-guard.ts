import { setTimeout as sleep } from 'node:timers/promises'
import { asProblem, Problem } from '#api/problem.ts'
import type { Logger } from '../log.ts'

type Parts = {
  /** Proves that build steps reach nothing of ours and says how, or throws a Problem that says what is wrong. */
  prove(signal: AbortSignal): Promise<string>
  /** Which daemon is there now: another answer after it was replaced, null while there is none. */
  daemon(): string | null
  onProven(): void
  log: Logger
}

const lookMs = 1000
const proveMs = 60_000
const maxPauseMs = 30_000

/**
 * Lets builds run only against a daemon whose steps are proven to be walled in: proven at the start, and again when
 * the daemon was replaced; after a failure again and again, with growing pauses.
 */
export class NetworkGuard {
  readonly #parts: Parts
  readonly #stop = new AbortController()
  #proven: string | null = null
  #detail = 'the first canary build has not ended'
  #proving: Promise<void> | undefined
  #pauseMs = lookMs
  #nextTry = 0

  static start(parts: Parts): NetworkGuard {
    const guard = new NetworkGuard(parts)
    void guard.#watch()
    return guard
  }

  private constructor(parts: Parts) {
    this.#parts = parts
  }

  /** For the health page. */
  get status(): { ok: boolean; detail: string } {
    return { ok: this.#proven !== null && this.#proven === this.#parts.daemon(), detail: this.#detail }
  }

  /** Throws while builds would not be safe. */
  check(): void {
    const { ok, detail } = this.status
    if (!ok) throw new Problem('not-ready', `Builds are refused until their network is proven closed: ${detail}.`)
  }

  /** The same, after a canary of its own where the daemon is a new one. */
  async proven(signal: AbortSignal): Promise<void> {
    if (!this.status.ok) await Promise.race([this.#prove(), aborted(signal)])
    this.check()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#proving
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (!this.status.ok && performance.now() >= this.#nextTry) await this.#prove()
      await sleep(lookMs, undefined, { ref: false, signal: this.#stop.signal }).catch(() => {})
    }
  }

  #prove(): Promise<void> {
    return (this.#proving ??= this.#proveOnce().finally(() => (this.#proving = undefined)))
  }

  async #proveOnce(): Promise<void> {
    const { log } = this.#parts
    const daemon = this.#parts.daemon()
    const limit = AbortSignal.timeout(proveMs)
    try {
      const detail = await this.#parts.prove(AbortSignal.any([this.#stop.signal, limit]))
      log.info({ detail }, 'the network of build steps is proven closed')
      this.#detail = detail
      this.#proven = daemon
      this.#pauseMs = lookMs
      this.#parts.onProven()
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const detail = limit.aborted ? `the canary build took longer than ${proveMs / 1000} s` : asProblem(error).message
      if (detail !== this.#detail) log.error({ err: error }, 'the network of build steps is not proven closed')
      this.#detail = detail
      this.#nextTry = performance.now() + this.#pauseMs
      this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs)
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
