import { setTimeout as delay } from 'node:timers/promises'
import { isUnavailable, statusOf } from '../../fly/fly-calls.ts'

const unseenMs = 5000

/**
 * Repeats `look` for up to `unseenMs` while it finds nothing. A new machine is not visible
 * everywhere at once.
 */
export async function retryUntilVisible<T>(
  look: () => Promise<T | null>,
  signal: AbortSignal,
): Promise<T | null> {
  for (const deadline = performance.now() + unseenMs; ; await delay(500, undefined, { signal })) {
    const found = await look()
    if (found || performance.now() > deadline) return found
  }
}

/**
 * Repeats `look` for up to `waitMs` while Fly is unavailable. `look` changes nothing, or reads the
 * state first.
 */
export async function retryTransient<T>(
  waitMs: number,
  signal: AbortSignal,
  look: () => Promise<T>,
  isRetryable = isUnavailable,
): Promise<T> {
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (!isRetryable(error) || performance.now() > deadline) throw error
      await delay(1000, undefined, { signal })
    }
  }
}

/** Fly is unavailable, or the machine is busy, for example with an unfinished update. */
export const isUnavailableOrBusy = (error: unknown): boolean =>
  isUnavailable(error) || [409, 412].includes(statusOf(error) ?? 0)
