import { pause, retry } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import { isUnavailable, pauseMs } from '#fly/fly-calls.ts'

const attempts = 4
const lookMs = 500

/**
 * Makes a change and returns what it made. Looks for that if the answer does not say it, or is lost,
 * and repeats the change only when it is not there.
 */
export function once<T>(
  change: () => Promise<T | null>,
  find: () => Promise<T | null>,
  signal: AbortSignal,
): Promise<T> {
  const attempt = async () => {
    let lost: unknown = new Problem('fly-unavailable', 'Fly does not show yet what it has made.')
    try {
      const made = await change()
      if (made !== null) return made
    } catch (error) {
      if (!isUnavailable(error)) throw error
      lost = error
      await pause(lookMs, signal)
    }
    const found = await find()
    if (found === null) throw lost
    return found
  }
  const policy = {
    isRetryable: isUnavailable,
    pauseMs: (next: number) => (next > attempts ? null : pauseMs(next)),
  }
  return retry(attempt, policy, signal)
}
