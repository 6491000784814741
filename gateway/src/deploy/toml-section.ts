import { Problem } from '#api/problem.ts'
import { formatDuration, parseDuration } from './go-duration.ts'

export type Table = Record<string, unknown>
export const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** `fly-config-invalid` that names the key and says what to do. */
export function refuse(key: string, words: string): never {
  throw new Problem('fly-config-invalid', `fly.toml: ${key} ${words}`, { facts: { key } })
}

/**
 * One section of fly.toml, read key by key: a value of the wrong kind is refused by its name, and `close` warns of keys
 * that nobody asked for. Absent and empty values read as undefined. Integers of the file are bigints.
 */
export class Section {
  readonly path: string
  readonly #values: Table
  readonly #warn: (text: string) => void
  readonly #asked = new Set<string>()

  constructor(path: string, values: Table, warn: (text: string) => void) {
    this.path = path
    this.#values = values
    this.#warn = warn
  }

  key(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }

  refuse(name: string, words: string): never {
    return refuse(this.key(name), words)
  }

  warn(name: string, words: string): void {
    this.#warn(`fly.toml: ${this.key(name)} ${words}`)
  }

  raw(name: string): unknown {
    this.#asked.add(name)
    return this.#values[name]
  }

  string(name: string): string | undefined {
    const value = this.raw(name)
    if (value === undefined || value === '') return undefined
    return typeof value === 'string' ? value : this.#wrong(name, 'a text', value)
  }

  /** `orText`: "8080" is taken too, as older files have it. */
  int(name: string, orText = false): number | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) return Number(value)
    if (orText && typeof value === 'string' && /^[+-]?\d+$/.test(value)) return Number(value)
    return this.#wrong(name, 'a whole number', value)
  }

  number(name: string): number | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : this.#wrong(name, 'a number', value)
  }

  bool(name: string): boolean | undefined {
    const value = this.raw(name)
    return value === undefined || typeof value === 'boolean' ? value : this.#wrong(name, 'true or false', value)
  }

  strings(name: string): string[] | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
      this.#wrong(name, 'a list of texts', value)
    return value as string[]
  }

  /** In nanoseconds. What a bare number means depends on the section: flyctl's history, kept. */
  durationNs(name: string, bare: 'ns' | 'ms' | 's'): number | undefined {
    const value = this.raw(name)
    if (value === undefined || (value === '' && bare !== 'ns')) return undefined
    if (typeof value === 'number' || typeof value === 'bigint') {
      const ns = Math.trunc(Number(value)) * { ns: 1, ms: 1e6, s: 1e9 }[bare]
      if (bare === 'ns') this.warn(name, `has no unit and is taken as ${formatDuration(ns)}. Write "10s" for seconds.`)
      return ns
    }
    const ns = typeof value === 'string' ? parseDuration(value) : null
    return ns ?? this.refuse(name, `must be a duration with its unit, such as "10s" or "1m30s", not ${shown(value)}.`)
  }

  duration(name: string, bare: 'ns' | 'ms' | 's'): string | undefined {
    const ns = this.durationNs(name, bare)
    return ns === undefined ? undefined : formatDuration(ns)
  }

  /** A table of texts; with `loose`, other plain values are written out as texts. */
  texts(name: string, loose: boolean): Record<string, string> | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (!isTable(value)) return this.#wrong(name, 'a table', value)
    const pairs = Object.entries(value).map(([key, item]): [string, string] => {
      if (typeof item === 'string') return [key, item]
      return [key, loose ? goText(item) : refuse(`${this.key(name)}.${key}`, `must be a text, not ${shown(item)}.`)]
    })
    return Object.fromEntries(pairs)
  }

  section(name: string): Section | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    return isTable(value) ? new Section(this.key(name), value, this.#warn) : this.#wrong(name, 'a table', value)
  }

  /** `[[name]]`; with `orOne`, also a single `[name]`. */
  sections(name: string, orOne = false): Section[] {
    const value = this.raw(name)
    if (value === undefined) return []
    const all: unknown = orOne && isTable(value) ? [value] : value
    if (!Array.isArray(all) || !all.every(isTable)) return this.#wrong(name, `a list of tables ([[${name}]])`, value)
    return all.map((item: Table, index) => new Section(`${this.key(name)}[${index}]`, item, this.#warn))
  }

  /** Every `[name.<key>]`. */
  named(name: string): [string, Section][] {
    const all = this.section(name)
    return Object.entries(all ? all.#values : {}).map(([key, value]) =>
      isTable(value)
        ? [key, new Section(`${this.key(name)}.${key}`, value, this.#warn)]
        : refuse(this.key(name), 'must hold tables.'),
    )
  }

  get isEmpty(): boolean {
    return Object.keys(this.#values).length === 0
  }

  /** Warns of keys that mean nothing here. `known`: those that flyctl knows and that say nothing to machines. */
  close(...known: string[]): void {
    for (const name of Object.keys(this.#values)) {
      if (!this.#asked.has(name) && !known.includes(name)) this.warn(name, 'is not known and was passed over.')
    }
  }

  #wrong(name: string, wanted: string, value: unknown): never {
    return this.refuse(name, `must be ${wanted}, not ${shown(value)}.`)
  }
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? Number(item) : item)).slice(0, 60)

/** A value written out as Go does it, because that is what flyctl makes of it. */
export function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`
  if (isTable(value))
    return `map[${Object.keys(value)
      .toSorted()
      .map((key) => `${key}:${goText(value[key])}`)
      .join(' ')}]`
  if (typeof value !== 'number')
    return value instanceof Date ? value.toISOString() : `${value as string | bigint | boolean}`
  const [mantissa, power] = value.toExponential().split('e').map(Number) as [number, number]
  if (power >= -4 && power < 6) return `${value}`
  return `${mantissa}e${power < 0 ? '-' : '+'}${`${Math.abs(power)}`.padStart(2, '0')}`
}
