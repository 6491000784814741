import { configOf, type Machine } from '#fly/machine.ts'
import { parseDuration } from '../../go/duration.ts'

/** A check's result is cut at this length, in letters. */
const shownOutput = 300
const maxOutput = 4000

export const isHealthy = (machine: Machine): boolean =>
  machine.state === 'started' && failingChecks(machine).length === 0

/** What is missing until all checks of the machine pass, one text for each check. */
export function failingChecks(machine: Machine): string[] {
  const { checks = {}, services = [] } = configOf(machine)
  const reported = reportedChecks(machine)
  const bad = reported.filter(({ status }) => status !== 'passing')

  const missing = Object.keys(checks).filter(
    (check) => !reported.some(({ name }) => name === check),
  )
  const pending = missing.map((name) => `check ${name} has no result yet${grace(checks[name])}`)

  const [serviceCheck] = services.flatMap((service) => service.checks ?? [])
  if (serviceCheck && reported.length <= Object.keys(checks).length - missing.length)
    pending.push(`check of the service has no result yet${grace(serviceCheck)}`)

  return [
    ...bad.map(
      ({ name, status, output }) =>
        `check ${name} is ${status}${output ? `: ${shownOf(output)}` : ''}`,
    ),
    ...pending,
  ]
}

/**
 * A result on one line. Fly shows the answer's status, then its body: the body of an error page says
 * less.
 */
export function shownOf(output: string): string {
  const [beforePage = ''] = output.slice(0, maxOutput).split(/ Output: "?\s*<(?:!doctype|html)\b/i)
  return beforePage.replaceAll(/\s+/g, ' ').trim().slice(0, shownOutput)
}

/** Each check with its status, as one text: it changes when a result changes. */
export const checkStatuses = (machine: Machine): string =>
  reportedChecks(machine)
    .map(({ name, status }) => `${name} ${status}`)
    .toSorted()
    .join(', ')

/** Fly adds entries that are no checks of the app. */
export const reportedChecks = (machine: Machine) =>
  (machine.checks ?? []).filter(({ name }) => !name.startsWith('bg_deployments'))

function grace(check: { grace_period?: unknown } | undefined): string {
  const ms = graceMs(check)
  return ms > 0 ? ` (its grace_period is ${ms / 1000} s)` : ''
}

/** How long a check gives no result after the start. Fly takes Go's durations and nanoseconds. */
export function graceMs(check: { grace_period?: unknown } | undefined): number {
  const period = check?.grace_period
  if (typeof period === 'number') return period / 1e6
  return typeof period === 'string' ? Number(parseDuration(period) ?? 0n) / 1e6 : 0
}
