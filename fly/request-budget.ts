import { pause } from '#api/flow/retry.ts'
import type { FlyStatus } from '#api/machines/fly-status.ts'

/** Fly's published limits, per action and machine (or app, for calls without a machine). */
const limits = { get: { everyMs: 200, burst: 10 }, other: { everyMs: 1000, burst: 3 } }

/** Keeps all calls of this gateway within Fly's limits. A call over a limit waits for its turn. */
export class RequestBudget {
  /** When the bucket of an action and id will be full again, on the monotonic clock. */
  readonly #fullAt = new Map<string, number>()
  readonly #use: FlyStatus = { calls: 0, delayed: 0, delayedMs: 0, waiting: 0, refused: 0 }

  get use(): FlyStatus {
    return { ...this.#use, delayedMs: Math.round(this.#use.delayedMs) }
  }

  async take(action: string, id: string, signal: AbortSignal): Promise<void> {
    const { everyMs, burst } = limitsOf(action)
    const now = performance.now()
    const fullAt = Math.max(this.#fullAt.get(`${action} ${id}`) ?? 0, now)
    this.#fullAt.set(`${action} ${id}`, fullAt + everyMs)
    if (this.#fullAt.size > 10_000) this.#forgetFull(now)
    const waitMs = fullAt - now - (burst - 1) * everyMs
    this.#use.calls++
    if (waitMs > 0) await this.#wait(waitMs, signal)
  }

  async #wait(waitMs: number, signal: AbortSignal): Promise<void> {
    const from = performance.now()
    this.#use.delayed++
    this.#use.waiting++
    try {
      await pause(waitMs, signal)
    } finally {
      this.#use.waiting--
      this.#use.delayedMs += performance.now() - from
    }
  }

  /** Fly answered 429: treats the bucket as empty, and sends no call of this kind for `pauseMs`. */
  pause(action: string, id: string, pauseMs: number): void {
    this.#use.refused++
    const { everyMs, burst } = limitsOf(action)
    const fullAt = performance.now() + pauseMs + (burst - 1) * everyMs
    this.#fullAt.set(`${action} ${id}`, Math.max(this.#fullAt.get(`${action} ${id}`) ?? 0, fullAt))
  }

  #forgetFull(now: number): void {
    for (const [key, fullAt] of this.#fullAt) if (fullAt < now) this.#fullAt.delete(key)
  }
}

export const limitsOf = (action: string) => (action === 'get' ? limits.get : limits.other)
