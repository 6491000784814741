import { setTimeout as delay } from 'node:timers/promises'

type RetryPolicy = {
  /** Whether another attempt makes sense after this error. */
  isRetryable: (error: unknown) => boolean
  /** The pause before the next attempt, whose number is given (2, 3, …). Null: no more attempts. */
  pauseMs: (attempt: number) => number | null
  /** No attempt starts later than this after the first failure. */
  forMs?: number
  /** Called before each pause. */
  onRetry?: (error: unknown, pauseMs: number) => void
}

/** Calls `action` until it succeeds. Throws its last error, or the reason of the abort. */
export async function retry<T>(
  action: (attempt: number) => Promise<T>,
  { isRetryable, pauseMs: pauseBefore, forMs = Infinity, onRetry }: RetryPolicy,
  signal: AbortSignal,
): Promise<T> {
  let failedAt: number | undefined
  for (let attempt = 1; ; attempt++) {
    try {
      return await action(attempt)
    } catch (error) {
      const pauseMs = isRetryable(error) ? pauseBefore(attempt + 1) : null
      failedAt ??= performance.now()
      if (pauseMs === null || signal.aborted || performance.now() + pauseMs - failedAt > forMs)
        throw error
      onRetry?.(error, pauseMs)
      await pause(pauseMs, signal)
    }
  }
}

/** Calls `look` until it finds something. Null: it found nothing for `forMs`. */
export async function poll<T>(
  look: () => Promise<T | null | undefined>,
  { everyMs, forMs }: { everyMs: number; forMs: number },
  signal: AbortSignal,
): Promise<T | null> {
  for (const deadline = performance.now() + forMs; ; await pause(everyMs, signal)) {
    const found = await look()
    if (found !== null && found !== undefined) return found
    if (performance.now() > deadline) return null
  }
}

/** Like `setTimeout` of `node:timers/promises`, but throws the signal's own reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
}

/** Waits for `promise`, but not longer than until the abort. Then it throws the abort's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
