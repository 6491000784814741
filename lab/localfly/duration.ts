const unitsMs: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * Reads a duration as Fly accepts it, a Go string ("1m30s") or integer nanoseconds, in
 * milliseconds.
 */
export function durationMs(value: string | number | undefined, otherwiseMs: number): number {
  if (value === undefined || value === '') return otherwiseMs
  if (typeof value === 'number') return value / 1e6
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== value) return otherwiseMs
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitsMs[unit!]!, 0)
}
