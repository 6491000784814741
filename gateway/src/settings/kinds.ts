import { isIP } from 'node:net'
import { z } from 'zod'

/** Node fires a timer of more than 24.8 days (2^31 - 1 ms) at once. */
const maxSeconds = 2_000_000
export const maxDays = 36_500

export const text = z.string()

/** A number within these limits, whole or not. The complaint says which numbers are right. */
export const number = (limits: Limits) => numeric('a number', limits, () => true)
/** A whole number within these limits. */
export const whole = (limits: Limits) => numeric('a whole number', limits, Number.isInteger)

export const port = whole({ min: 0, max: 65_535 })
export const count = whole({ min: 1, max: 1_000_000_000 })
export const countOrNone = whole({ min: 0, max: 1_000_000_000 })
export const days = number({ above: 0, max: maxDays })
/** A count, or `auto` (null): it follows the machine's size. */
export const countOrAuto = z.preprocess(
  (value) => (value === 'auto' ? null : value),
  count.nullable(),
)

export const seconds = number({ above: 0, max: maxSeconds })
/** Seconds as milliseconds; `pauseMs` may be 0. */
export const secondsAsMs = seconds.transform((value) => value * 1000)
export const hoursAsMs = number({ above: 0, max: 24 * maxDays }).transform(
  (value) => value * 3_600_000,
)
export const pauseMs = number({ min: 0, max: maxSeconds }).transform((value) => value * 1000)

/** Seconds as milliseconds, `off`, or nothing for the default. */
export const idleStop = text.transform((given, context): number | 'off' | 'default' => {
  if (given === '' || given === 'off') return given || 'default'
  const value = Number(given)
  if (value > 0 && value <= maxSeconds) return value * 1000
  const message = `must be "off" or a number of seconds above 0, ${maxSeconds} at most, not ${JSON.stringify(given.slice(0, 50))}`
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

export const mebibytes = count.transform((value) => value * 2 ** 20)
export const kibibytes = count.transform((value) => value * 2 ** 10)

type Limits = { max: number } & ({ min: number } | { above: number })

function numeric(kind: string, limits: Limits, isRight: (value: number) => boolean) {
  const { max } = limits
  const [isEnough, from] =
    'min' in limits
      ? [(value: number) => value >= limits.min, `from ${limits.min} to ${max}`]
      : [(value: number) => value > limits.above, `above ${limits.above}, ${max} at most`]
  return z.union([z.number(), z.string()]).transform((given, context) => {
    const value = typeof given === 'string' && given.trim() === '' ? Number.NaN : Number(given)
    if (isRight(value) && isEnough(value) && value <= max) return value
    const shown = JSON.stringify(String(given).slice(0, 50))
    context.addIssue({ code: 'custom', message: `must be ${kind} ${from}, not ${shown}` })
    return z.NEVER
  })
}

/** The items of a text, separated by commas. */
export const list = z.string().transform(itemsOf)
export const addresses = list.refine(
  (items) => items.every((each) => isIP(each)),
  'must be addresses, separated by commas',
)
export const ranges = list.refine(
  (items) => items.every((each) => isIP(each.replace(/\/\d{1,3}$/, ''))),
  'must be addresses or ranges, separated by commas',
)

/** An amount of a disk or of memory. */
export const amount = z
  .string()
  .regex(/^\d{1,9}(\.\d+)?%?$/, 'must be a number of MiB, or a share like 5%')
  .transform((value) =>
    value.endsWith('%')
      ? { share: Number(value.slice(0, -1)) / 100 }
      : { bytes: Number(value) * 2 ** 20 },
  )

export function itemsOf(value: string): string[] {
  return value
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
}
