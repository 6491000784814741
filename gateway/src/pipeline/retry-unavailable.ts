import { setTimeout as sleep } from 'node:timers/promises'
import { problems } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import type { EventSink } from '../deployments/event-sink.ts'

/**
 * Runs `work`, and repeats it with growing pauses while it fails with a retryable Problem that is
 * not the source's fault. Throws the last error once `unavailableMs` have passed since the first
 * failure.
 */
export async function retryWhileUnavailable<T>(
  work: () => Promise<T>,
  unavailableMs: number,
  emit: EventSink,
  signal: AbortSignal,
): Promise<T> {
  let firstFailure: number | undefined
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 15_000)) {
    try {
      return await work()
    } catch (error) {
      const worthwhile =
        error instanceof Problem &&
        problems[error.code].retry &&
        problems[error.code].fault !== 'source' &&
        error.facts['fillsDisk'] !== true
      firstFailure ??= performance.now()
      if (
        !worthwhile ||
        signal.aborted ||
        performance.now() + pauseMs - firstFailure > unavailableMs
      )
        throw error
      emit({ type: 'warning', text: `${error.message} Trying again in ${pauseMs / 1000} s.` })
      await sleep(pauseMs, undefined, { signal })
    }
  }
}
