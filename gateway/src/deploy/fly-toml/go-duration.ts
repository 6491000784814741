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

/** Null when the text is no duration. A number needs its unit: "45" is none. */
export function parseDuration(text: string): bigint | null {
  if (!/^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.test(text)) return null
  let ns = 0n
  for (const [, whole, fraction = '', name = ''] of text.matchAll(/(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const unit = units[name] ?? 0n
    ns += BigInt(whole || 0) * unit + (BigInt(fraction || 0) * unit) / 10n ** BigInt(fraction.length)
  }
  if (BigInt.asIntN(64, ns) !== ns) return null
  return text.startsWith('-') ? -ns : ns
}

export function formatDuration(ns: bigint): string {
  if (ns < 0n) return `-${formatDuration(-ns)}`
  if (ns === 0n) return '0s'
  if (ns < 1000n) return `${ns}ns`
  if (ns < 1_000_000n) return `${Number(ns) / 1e3}µs`
  if (ns < 1_000_000_000n) return `${Number(ns) / 1e6}ms`
  const minutes = ns / 60_000_000_000n
  const seconds = `${(Number(ns % 60_000_000_000n) / 1e9).toFixed(9).replace(/\.?0+$/, '')}s`
  if (minutes === 0n) return seconds
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`
}
