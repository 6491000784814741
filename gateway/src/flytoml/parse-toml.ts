import { parse, TomlDate } from 'smol-toml'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { trimEnd } from '#api/text/trim-end.ts'
import { isTable, refuse, type Table } from './schema.ts'
import { isDeeperThan } from './toml-size.ts'

/** Parses integers as bigints and dates as TomlDate. Throws `fly-config-invalid`. */
export function parseToml(text: string): Table {
  try {
    if (text.startsWith('\uFEFF')) throw new Error('it starts with a byte order mark')
    const file = parse(text, { integersAsBigInt: true })
    if (isDeeperThan(file, maxDepth))
      throw new Error(`it has tables in tables on more than ${maxDepth} levels`)
    JSON.stringify(file, (_, value: unknown) =>
      typeof value === 'bigint' ? inRange(value) : value,
    )
    return file
  } catch (cause) {
    // The parser quotes the line, which may be the whole file.
    const reason = errorMessage(cause).slice(0, maxReasonChars)
    throw new Problem('fly-config-invalid', `fly.toml is not valid TOML: ${reason}`, { cause })
  }
}

/** Later code recurses into each table. Without a limit the stack would overflow. */
const maxDepth = 100
const maxReasonChars = 500

function inRange(value: bigint): string {
  if (BigInt.asIntN(64, value) !== value)
    throw new Error(`${`${value}`.slice(0, 30)} does not fit in 64 bits`)
  return ''
}

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
