import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'
import { formatDuration, parseDuration } from '../go/duration.ts'

export type Table = Record<string, unknown>
export const isTable = (value: unknown): value is Table =>
  isObject(value) && !(value instanceof Date)

/** Throws `fly-config-invalid`, which names the key and says what to do. */
export function refuse(key: string, words: string): never {
  const shownKey = cut(key, maxKeyChars)
  throw new Problem('fly-config-invalid', `fly.toml: ${shownKey} ${cut(words, maxWordsChars)}`, {
    facts: { key: shownKey },
  })
}

/** A key includes all names on its path in the file. The limit keeps messages about it short. */
const maxKeyChars = 200
const maxWordsChars = 1000
const cut = (text: string, chars: number): string =>
  text.length > chars ? `${text.slice(0, chars)}…` : text

/** The text of a warning for the log. */
export const warningOf = (key: string, words: string): string =>
  `fly.toml: ${cut(key, maxKeyChars)} ${cut(words, maxWordsChars)}`

/** Where a value is in the file. */
export type Place = { key: string; warn: (key: string, words: string) => undefined }

/**
 * Reads a value as Go reads JSON into a typed field. Refuses a value of another kind, by its key.
 * Undefined: the value counts as not set.
 */
export type Shape<T> = (value: unknown, at: Place) => T | undefined
export type Of<S> = S extends Shape<infer T> ? T : never

/** Fields that keep a zero value. The plain ones below treat "", 0 and false as not set. */
export const keepZero = {
  text: scalar('a text', (value) => typeof value === 'string'),
  flag: scalar('true or false', (value) => typeof value === 'boolean'),
  number: scalar('a number', (value) => typeof value === 'number'),
  int: scalar('a whole number', (value): value is number => Number.isSafeInteger(value)),
  uint32: scalar(
    'a whole number from 0',
    (value): value is number => isWhole(value) && value >= 0 && value < 2 ** 32,
  ),
}
export const text: Shape<string> = (value, at) => keepZero.text(value, at) || undefined
export const int: Shape<number> = (value, at) => keepZero.int(value, at) || undefined
export const flag: Shape<true> = (value, at) => keepZero.flag(value, at) || undefined
export const anything: Shape<unknown> = (value) => value

/**
 * A duration as Go writes it. A bare number is nanoseconds. Where flyctl reads milliseconds or
 * seconds, `patchToml` has made it a text.
 */
export const duration: Shape<string> = (value, at) => {
  if (value === null) return at.warn(at.key, 'is not a duration and is ignored.')
  if (typeof value === 'number') {
    const written = formatDuration(nanoseconds(at.key, BigInt(Math.trunc(value))))
    at.warn(at.key, `has no unit and is taken as ${written}. Write "10s" for seconds.`)
    return written
  }
  const ns = typeof value === 'string' ? parseDuration(value) : null
  if (ns === null)
    return refuse(
      at.key,
      `must be a duration with its unit, such as "10s" or "1m30s", not ${shown(value)}.`,
    )
  return formatDuration(ns)
}

/** Go keeps a duration in 64 bits. Its result for a longer one depends on the processor. */
export const nanoseconds = (key: string, ns: bigint): bigint =>
  BigInt.asIntN(64, ns) === ns ? ns : refuse(key, 'is longer than 292 years.')

/** What a shape is made of, for the docs: its fields, and whether the gateway uses it. */
export type ShapeFacts = { fields?: Fields; isList?: true; isUnused?: true }
const facts = new WeakMap<Shape<unknown>, ShapeFacts>()
export const factsOf = (shape: Shape<unknown>): ShapeFacts => facts.get(shape) ?? {}
function withFacts<T>(shape: Shape<T>, known: ShapeFacts): Shape<T> {
  facts.set(shape, known)
  return shape
}

/** A field that flyctl uses and the gateway does not. */
export const unused = <T>(shape: Shape<T>): Shape<T> =>
  withFacts(
    (value, at) => {
      at.warn(at.key, 'is not used by the gateway.')
      return shape(value, at)
    },
    { ...factsOf(shape), isUnused: true },
  )

export const oneOf =
  <T>(words: Record<string, T>): Shape<T> =>
  (value, at) => {
    if (value === null) return undefined
    if (typeof value === 'string' && Object.hasOwn(words, value)) return words[value]
    const known = Object.keys(words).filter((word) => word !== '')
    return refuse(at.key, `is ${shown(value)}, which is none of ${known.join(', ')}.`)
  }

/** An empty list counts as not set, and so does an item that is null. */
export const list = <T>(item: Shape<T>): Shape<T[]> =>
  withFacts(
    (value, at) => {
      if (value === null) return undefined
      if (!Array.isArray(value)) return wrong('a list', value, at)
      const items = value.map((one, index) => item(one, { ...at, key: `${at.key}[${index}]` }))
      return nonEmpty(items.filter((one) => one !== undefined))
    },
    { ...factsOf(item), isList: true },
  )
export const texts = list(keepZero.text)

export const nonEmpty = <T>(list: T[]): T[] | undefined => (list.length > 0 ? list : undefined)

/** A table with names of the file's own choice. An empty one counts as not set. */
export const table = <T>(item: Shape<T>): Shape<Record<string, T>> =>
  withFacts((value, at) => {
    if (value === null) return undefined
    if (!isTable(value)) return wrong('a table', value, at)
    const pairs = Object.entries(value).flatMap(([name, one]): [string, T][] => {
      const read = item(one, { ...at, key: `${at.key}.${name}` })
      return read === undefined ? [] : [[name, read]]
    })
    return pairs.length > 0 ? Object.fromEntries(pairs) : undefined
  }, factsOf(item))

export type Fields = Record<string, Shape<unknown>>
type Struct<F extends Fields> = { [K in keyof F]?: Of<F[K]> }

/** A table with known names, in upper or lower case as in Go. Ignores others with a warning. */
export const struct = <F extends Fields>(fields: F): Shape<Struct<F>> =>
  withFacts(
    (value, at) => {
      if (value === null) return undefined
      if (!isTable(value)) return wrong('a table', value, at)
      const read: Record<string, unknown> = {}
      for (const name of Object.keys(value).toSorted()) {
        if (value[name] === undefined) continue
        const key = at.key === '' ? name : `${at.key}.${name}`
        const field = Object.keys(fields).find(
          (known) => known === name || known === name.toLowerCase(),
        )
        if (field !== name)
          at.warn(key, field ? `is read as ${field}.` : 'is not known and is ignored.')
        if (field === undefined) continue
        const [first, next] = [read[field], fields[field]?.(value[name], { ...at, key })]
        read[field] = isTable(first) && isTable(next) ? { ...first, ...next } : next
      }
      return defined(read)
    },
    { fields },
  )

/** Removes the fields that are undefined. */
export const defined = <T extends object>(value: T): Defined<T> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the result of Object.fromEntries has no field types
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>
type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

function scalar<T>(what: string, is: (value: unknown) => value is T): Shape<T> {
  return (value, at) => {
    if (value === null) return undefined
    return is(value) ? value : wrong(what, value, at)
  }
}

const isWhole = (value: unknown): value is number => Number.isInteger(value)

const wrong = (what: string, value: unknown, at: Place): never =>
  refuse(at.key, `must be ${what}, not ${shown(value)}.`)

const shown = (value: unknown): string => JSON.stringify(value).slice(0, 60)
