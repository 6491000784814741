import { parse, TomlDate } from 'smol-toml'
import { Problem } from '#api/problem.ts'
import { isTable, refuse, type Table } from './shape.ts'

/** Integers as bigints, dates as TomlDate. */
export function parseToml(text: string): Table {
  try {
    if (text.startsWith('\uFEFF')) throw new Error('it starts with a byte order mark')
    const file = parse(text, { integersAsBigInt: true })
    JSON.stringify(file, (_, value: unknown) => (typeof value === 'bigint' ? inRange(value) : value))
    return file
  } catch (cause) {
    throw new Problem('fly-config-invalid', `fly.toml is not valid TOML: ${(cause as Error).message}`, { cause })
  }
}

function inRange(value: bigint): string {
  if (BigInt.asIntN(64, value) !== value) throw new Error(`${value} does not fit in 64 bits`)
  return ''
}

/** The values as JSON has them. */
export function plain(value: unknown, key = ''): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof TomlDate) return dateText(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return refuse(key, 'must be a finite number.')
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${key}[${index}]`))
  if (!isTable(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, plain(item, key === '' ? name : `${key}.${name}`)]),
  )
}

/** Without zeros at the end of its seconds, and with Z for no offset. */
export const dateText = (date: TomlDate): string =>
  date
    .toISOString()
    .replace(/(?:(\.\d*[1-9])|\.)0+(?=$|Z|[+-])/, '$1')
    .replace('+00:00', 'Z')
