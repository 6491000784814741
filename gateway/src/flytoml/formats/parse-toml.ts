import { parse, TomlDate } from 'smol-toml'
import { trimEnd } from '#api/text/trim-end.ts'
import { isTable, refuse, type Table } from '../schema.ts'

/** Parses integers as bigints and dates as TomlDate. */
export const parseToml = (text: string): Table => parse(text, { integersAsBigInt: true })

/** Converts values to those that JSON has. */
export function plain(value: unknown, key = ''): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof TomlDate) return dateText(value)
  if (typeof value === 'number' && !Number.isFinite(value))
    return refuse(key, 'must be a finite number.')
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${key}[${index}]`))
  if (!isTable(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      plain(item, key === '' ? name : `${key}.${name}`),
    ]),
  )
}

const withDot = (digits: string): string => (digits === '' ? '' : `.${digits}`)

/** Formats a date without trailing zeros in its seconds, and with Z for no offset. */
export const dateText = (date: TomlDate): string =>
  date
    .toISOString()
    .replace(/\.(\d+)/, (_, digits: string) => withDot(trimEnd(digits, '0')))
    .replace('+00:00', 'Z')
