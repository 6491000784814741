import { problems } from '#api/problem/codes.ts'
import { asProblem, Problem } from '#api/problem.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { retry } from '#api/flow/retry.ts'

const firstPauseMs = 500
const maxPauseMs = 15_000

/**
 * Runs `action`, and repeats it with growing pauses while it fails with a retryable Problem that is
 * not the source's fault. Throws the last error once `unavailableMs` have passed since the first
 * failure.
 */
export function retryWhileUnavailable<T>(
  action: () => Promise<T>,
  unavailableMs: number,
  emit: EventSink,
  signal: AbortSignal,
): Promise<T> {
  const policy = {
    isRetryable,
    pauseMs: (attempt: number) => Math.min(firstPauseMs * 2 ** (attempt - 2), maxPauseMs),
    forMs: unavailableMs,
    onRetry(error: unknown, pauseMs: number) {
      const text = `${asProblem(error).message} Trying again in ${pauseMs / 1000} s.`
      emit({ type: 'warning', text })
    },
  }
  return retry(action, policy, signal)
}

/** The wait for a held lease was long already: the caller of `lease` waits a minute. */
const isRetryable = (error: unknown): boolean =>
  error instanceof Problem &&
  error.code !== 'machine-leased' &&
  problems[error.code].retry &&
  problems[error.code].fault !== 'source' &&
  error.facts['fillsDisk'] !== true
