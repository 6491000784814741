import { TomlDate } from 'smol-toml'
import { dateText } from './formats/parse-toml.ts'
import { isTable } from './schema.ts'

/** Formats a value as Go does, because flyctl does so. */
export function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`
  if (isTable(value))
    return `map[${Object.keys(value)
      .toSorted()
      .map((key) => `${key}:${goText(value[key])}`)
      .join(' ')}]`
  if (value instanceof TomlDate) return goTime(value)
  return typeof value === 'number' ? goFloat(value) : String(value)
}

function goFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const [mantissa = 0, power = 0] = value.toExponential().split('e').map(Number)
  if (power >= -4 && power < 6) return `${value}`
  return `${mantissa}e${power < 0 ? '-' : '+'}${`${Math.abs(power)}`.padStart(2, '0')}`
}

function goTime(date: TomlDate): string {
  const [, day, time, zone] = /^([\d-]+)T([\d:.]+)(Z|[+-][\d:]+)$/.exec(dateText(date)) ?? []
  if (!zone) return dateText(date)
  const offset = zone === 'Z' ? '+0000' : zone.replace(':', '')
  return `${day} ${time} ${offset} ${zone === 'Z' ? 'UTC' : offset}`
}
