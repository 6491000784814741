import { setTimeout as sleep } from 'node:timers/promises'

type Bucket = { tokens: number; at: number }

const rates: Record<string, { perSecond: number; burst: number }> = {
  'get machine': { perSecond: 5, burst: 10 },
  'delete any app': { perSecond: 100 / 60, burst: 100 },
}
const others = { perSecond: 1, burst: 3 }
const pollMs = 50

/**
 * Fly's request limits: a token bucket for each action on each machine (or app), and one for all
 * deletions of apps. `take` returns whether the request may pass.
 */
export class RequestLimits {
  /** Whether the limits apply at all. */
  hold = true
  readonly #buckets = new Map<string, Bucket>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** Like `take`, but a patient caller waits until it disconnects. */
  async pass(action: string, id: string, patience: AbortSignal | null): Promise<boolean> {
    while (!this.take(action, id)) {
      if (!patience || patience.aborted) return false
      await sleep(pollMs)
    }
    return true
  }

  take(action: string, id: string): boolean {
    if (!this.hold) return true
    if (action === 'delete /apps/:app' && !this.take('delete any app', '')) return false
    const { perSecond, burst } = rates[action] ?? others
    const now = this.#now()
    const key = `${action} ${id}`
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now }
    const tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond)
    const passes = tokens >= 1
    this.#buckets.set(key, { tokens: passes ? tokens - 1 : tokens, at: now })
    return passes
  }
}
