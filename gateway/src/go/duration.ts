import { trimEnd } from '#api/text/trim-end.ts'

/** Durations as fly.toml and the Machines API write them ("1m30s"), here in nanoseconds. */
const units: Record<string, bigint> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

/** More digits than this exceed 64 bits, or are less than a nanosecond. */
const mostDigits = 20

/** Nanoseconds. Null: the text is no duration. A number needs its unit, so "45" is none. */
export function parseDuration(text: string): bigint | null {
  const isNegative = text.startsWith('-')
  const body = isNegative || text.startsWith('+') ? text.slice(1) : text
  if (body === '0') return 0n

  let ns = 0n
  let end = 0
  // Each part begins where the previous one ended, and its digits match in only one way.
  for (const [part, whole = '', fraction = '', name = ''] of body.matchAll(
    /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/gy,
  )) {
    end += part.length
    const digits = whole.replace(/^0+/, '')
    if ((whole === '' && fraction === '') || digits.length > mostDigits) return null
    const unit = units[name] ?? 0n
    const shown = fraction.slice(0, mostDigits)
    ns += BigInt(digits || 0) * unit + (BigInt(shown || 0) * unit) / 10n ** BigInt(shown.length)
  }

  if (end === 0 || end < body.length || BigInt.asIntN(64, ns) !== ns) return null
  return isNegative ? -ns : ns
}

export function formatDuration(ns: bigint): string {
  if (ns < 0n) return `-${formatDuration(-ns)}`
  if (ns === 0n) return '0s'
  if (ns < 1000n) return `${ns}ns`
  if (ns < 1_000_000n) return `${Number(ns) / 1e3}µs`
  if (ns < 1_000_000_000n) return `${Number(ns) / 1e6}ms`
  const minutes = ns / 60_000_000_000n
  const seconds = `${trimEnd(trimEnd((Number(ns % 60_000_000_000n) / 1e9).toFixed(9), '0'), '.')}s`
  if (minutes === 0n) return seconds
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`
}
