import { Problem } from '#api/problem.ts'
import type { DeploymentRecord } from './deployment-record.ts'
import type { LogWriter } from './log-writer.ts'
import { retryWhileUnavailable } from './retry-unavailable.ts'
import { type TimeLimits, withDeadline } from './time-limits.ts'

type StageRun = {
  record: Pick<DeploymentRecord, 'state'>
  log: Pick<LogWriter, 'emit'>
  limits: TimeLimits
  signal: AbortSignal
}

/** Runs one stage within its time limit, and retries it while a service is unavailable. */
export async function stage<T>(
  { record, log, limits, signal }: StageRun,
  what: string,
  limit: Stage,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = () => tooLate(what, { limit, limits, record })
  using limited = withDeadline(limits[`${limit}Ms`], late, signal)
  try {
    return await retryWhileUnavailable(
      () => action(limited.signal),
      limits.unavailableMs,
      log.emit,
      limited.signal,
    )
  } catch (error) {
    throw outcomeOf(error, limited.signal)
  }
}

/** What has a time limit: `build` is `buildSeconds` of an app and `TARMAC_BUILD_TIMEOUT`. */
type Stage = 'fetch' | 'plan' | 'build' | 'deploy' | 'total'

/** The problem of something that took too long. */
export function tooLate(
  what: string,
  { limit, limits, record }: Pick<StageRun, 'limits' | 'record'> & { limit: Stage },
): Problem {
  const limitMs = limits[`${limit}Ms`]
  const settings = `${limit}Seconds of the app’s settings, TARMAC_${limit.toUpperCase()}_TIMEOUT of the gateway`
  const detail = `${what} took longer than ${limitMs / 1000} s. The limit is in ${settings}.`
  return new Problem('time-limit', detail, { facts: { state: record.state, limitMs } })
}

/**
 * The error to end with: the abort reason, unless machines could not be restored (`rollback-failed`).
 * If the error lists machines or names a step, the result keeps its message and facts.
 */
export function outcomeOf(error: unknown, { aborted, reason }: AbortSignal): unknown {
  const own = error instanceof Problem ? error : null
  if (!aborted || own?.code === 'rollback-failed') return error
  const more = own?.facts['machines'] ?? own?.facts['step']
  if (!(reason instanceof Problem) || !own || more === undefined) return reason
  return new Problem(reason.code, own.message, { facts: { ...reason.facts, ...own.facts } })
}
