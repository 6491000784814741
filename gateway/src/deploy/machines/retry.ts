import { isUnavailable, statusOf } from '#fly/fly-calls.ts'
import { poll, retry } from '#api/flow/retry.ts'

/** Repeats `look` while it finds nothing. A new machine is not visible everywhere at once. */
export const retryUntilVisible = <T>(
  look: () => Promise<T | null>,
  signal: AbortSignal,
): Promise<T | null> => poll(look, { everyMs: 500, forMs: 5000 }, signal)

/**
 * Repeats `look` for up to `waitMs` while Fly is unavailable. `look` changes nothing, or reads the
 * state first.
 */
export function retryTransient<T>(
  waitMs: number,
  signal: AbortSignal,
  look: () => Promise<T>,
  isRetryable = isUnavailable,
): Promise<T> {
  const deadline = performance.now() + waitMs
  const pauseMs = () => (performance.now() > deadline ? null : 1000)
  return retry(look, { isRetryable, pauseMs }, signal)
}

/** Fly is unavailable, or the machine is busy, for example with an unfinished update. */
export const isUnavailableOrBusy = (error: unknown): boolean =>
  isUnavailable(error) || [409, 412].includes(statusOf(error) ?? 0)
