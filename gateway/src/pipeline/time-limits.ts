import type { OwnSettings } from '#api/options/app-settings.ts'
import type { Problem } from '#api/problem.ts'
import type { LogLimits } from './log-limit.ts'

/**
 * Limits in milliseconds: for each stage, for the whole deployment, and for how long Fly, the
 * registry or the daemon may be unavailable. `log`: how much of the log to keep.
 */
export type TimeLimits = Record<
  'fetchMs' | 'planMs' | 'buildMs' | 'deployMs' | 'totalMs' | 'unavailableMs',
  number
> & {
  log?: LogLimits
}

/** The app's own time limits, with the gateway's as defaults. */
export function limitsOf(own: OwnSettings, gateway: TimeLimits): TimeLimits {
  return {
    ...gateway,
    fetchMs: ms(own.fetchSeconds, gateway.fetchMs),
    planMs: ms(own.planSeconds, gateway.planMs),
    buildMs: ms(own.buildSeconds, gateway.buildMs),
    deployMs: ms(own.deploySeconds, gateway.deployMs),
    totalMs: ms(own.totalSeconds, gateway.totalMs),
  }
}

const ms = (seconds: number | undefined, otherwiseMs: number) =>
  seconds ? seconds * 1000 : otherwiseMs

/** A signal that fires with `signal`, and after `limitMs` with `late` as its reason. */
export function withDeadline(
  limitMs: number,
  late: () => Problem,
  signal: AbortSignal,
): { signal: AbortSignal } & Disposable {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(late()), limitMs)
  return {
    signal: AbortSignal.any([signal, over.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}
