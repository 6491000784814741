const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Part of every error about a span of time. */
export const spanRule = 'a span of time is a whole number with s, m, h or d, like 15m or 90d'

/** Reads `30s`, `15m`, `12h` or `90d` as seconds. Null: it is none of these. */
export function secondsOf(text: string): number | null {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  return count === '' ? null : Number(count) * units[unit]!
}

/**
 * When something ends: after a span from `now`, at an ISO 8601 time, or never (null). Milliseconds
 * since 1970. Undefined: the text is none of these.
 */
export function endOf(text: string, now: number): number | null | undefined {
  if (text === 'never') return null
  const seconds = secondsOf(text)
  if (seconds !== null) return now + seconds * 1000
  const isTime = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/
  const at = isTime.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}
