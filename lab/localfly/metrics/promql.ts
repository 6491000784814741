import { FlyError } from '../fly-error.ts'

/** What the value of a label must be. */
export type Matcher = { label: string; isMet: (value: string) => boolean }
/**
 * `{…}` or `name{…}`, or the sum of its rates by labels. `window`: seconds.
 */
export type Query = { matchers: Matcher[]; sumOfRates: { by: string[]; window: number } | null }

const name = String.raw`[a-zA-Z_][\w]*`
const selector = String.raw`(${name})?\{([^{}]*)\}`
const whole = new RegExp(`^${selector}$`)
const rates = new RegExp(
  String.raw`^sum by \(((?:${name}, )*${name})\) \(rate\(${selector}\[(\d+)([smh])\]\)\)$`,
)
const oneMatcher = new RegExp(String.raw`^(${name})(=~|!~|!=|=)"([^"\\]*)"$`)
const seconds = { s: 1, m: 60, h: 3600 }

/** The part of PromQL that the gateway writes. Throws 422 for the rest, as VictoriaMetrics does. */
export function parseQuery(text: string): Query {
  const plain = whole.exec(text)
  if (plain) return { matchers: matchersOf(plain[1], plain[2]!), sumOfRates: null }
  const [, by, metric, inner, count, unit] = rates.exec(text) ?? []
  if (by === undefined) throw refused(text)
  const window = Number(count) * seconds[unit as keyof typeof seconds]
  return { matchers: matchersOf(metric, inner!), sumOfRates: { by: by.split(', '), window } }
}

function matchersOf(metric: string | undefined, inner: string): Matcher[] {
  const written = inner === '' ? [] : inner.split(/,(?=[a-zA-Z_]\w*(?:=|!))/)
  const all = written.map((each): Matcher => {
    const [, label, operator, value] = oneMatcher.exec(each) ?? []
    if (label === undefined) throw refused(each)
    const isNegated = operator!.startsWith('!')
    // A pattern stands for the whole value.
    const pattern = operator!.endsWith('~') ? new RegExp(`^(?:${value!})$`) : null
    const isEqual = (given: string) => (pattern ? pattern.test(given) : given === value)
    return { label, isMet: (given) => isEqual(given) !== isNegated }
  })
  if (metric === undefined) return all
  return [{ label: '__name__', isMet: (given) => given === metric }, ...all]
}

export const matches = (labels: Record<string, string>, matchers: readonly Matcher[]): boolean =>
  matchers.every(({ label, isMet }) => isMet(labels[label] ?? ''))

const refused = (text: string) =>
  new FlyError(
    422,
    `cannot parse "${text}": localfly knows name{label="value"} and sum by (label) (rate(name{label="value"}[2m])), and no other PromQL`,
  )
