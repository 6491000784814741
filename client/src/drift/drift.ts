import { type AppDrift, DriftList } from '#api/drift/drift-list.ts'
import type { DriftFinding } from '#api/drift/finding.ts'
import { type Address, type Certificate, DriftView } from '#api/drift/report.ts'
import { isUnknown } from '#api/status/part.ts'
import { fill, routes } from '#api/routes.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { someOf } from '#api/text/some-of.ts'
import { table } from '#api/text/table.ts'
import { readAnswer } from '../answers.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

/** `app` null: list the apps with drift. */
export type DriftRequest = { app: string | null; accept: boolean }

export const driftFlags = { accept: { type: 'boolean', default: false } } as const

export const driftHelp = `Options of drift:
  --accept              from now on the addresses and hostnames that the app has are as they should be`

/** Exit code: drift was found. */
const found = 25

/** Reads `tarmac drift [APP] [--accept]`. Null: another use. */
export function readDriftArgs(
  [app, ...others]: string[],
  { accept }: { accept: boolean },
  appName: (text: string) => string,
): DriftRequest | null {
  if (others.length > 0 || (app === undefined && accept)) return null
  return { app: app === undefined ? null : appName(app), accept }
}

/** Shows how an app differs from what Tarmac expects, or which apps do. */
export async function drift(
  { app, accept }: DriftRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  if (app === null) {
    const list = readAnswer(DriftList, await gateway.ask('GET', routes.driftList, signal))
    const isDrift = list.apps.some(({ findings }) => findings.length > 0)
    return printer.result(list, listLines(list), isDrift ? found : 0)
  }
  const answer = accept
    ? await gateway.ask('POST', fill(routes.acceptDrift, { app }), signal)
    : await gateway.ask('GET', fill(routes.drift, { app }), signal)
  // A program gets the whole report.
  const report = readAnswer(DriftView.loose(), answer)
  const lines = reportLines(report, accept)
  return printer.result(report, lines, report.findings.length > 0 ? found : 0)
}

/** The apps with drift as a table, and when they were looked at. */
export function listLines({ checkedAt, looked, apps }: DriftList): string[] {
  const when =
    checkedAt === null
      ? 'The gateway has not looked at all apps yet. It does so once a day, and soon after its start.'
      : `looked at all apps at ${minuteOf(checkedAt)} UTC`
  const drifted = apps.filter(({ findings }) => findings.length > 0)
  const failed = apps.flatMap(({ app, problem }) =>
    problem === null ? [] : [`${app} could not be looked at: ${problem}`],
  )
  if (drifted.length === 0)
    return [...(checkedAt === null ? [] : ['no app has drift']), when, ...failed]

  const rows = drifted.map(({ app, findings }) => [
    app,
    `${findings.length}`,
    minuteOf(sinceOf(findings)),
    someOf([...new Set(findings.map(({ code }) => code))], 3),
  ])
  return [
    ...table([['APP', 'FINDINGS', 'SINCE (UTC)', 'WHAT'], ...rows], [1]),
    '',
    `${looked === null ? '' : `${drifted.length} of ${looked} apps; `}${when}`,
    ...failed,
    'To see them as they are now: tarmac drift APP',
  ]
}

const sinceOf = (findings: AppDrift['findings']): string =>
  findings.flatMap(({ since }) => since ?? []).toSorted()[0] ?? ''

/** Each finding with what was expected, and then what Fly has. */
export function reportLines(report: DriftView, accepted: boolean): string[] {
  const { app, findings, ips, network, certificates, deploying } = report
  const count = findings.length === 1 ? '1 finding' : `${findings.length} findings`
  const unread = isUnknown(certificates) ? 0 : certificates.filter(({ isRead }) => !isRead).length
  return [
    ...(accepted ? [`From now on ${app} should have the addresses and hostnames below.`] : []),
    findings.length === 0 ? `${app}: no drift` : `${app}: ${count}`,
    ...findings.flatMap(findingLines),
    '',
    `network       ${network ?? 'not known'}`,
    ...titled('addresses', ips.length === 0 ? ['none'] : ips.map(addressText)),
    ...titled(
      'certificates',
      isUnknown(certificates)
        ? [`not known: ${certificates.unknown}`]
        : certificates.length === 0
          ? ['none']
          : certificates.map(certificateText),
    ),
    ...(unread > 0
      ? [`The ends of ${unread} certificates were not read now; the daily look reads them.`]
      : []),
    ...(deploying ? ['A deployment changes machines now, so they were not compared.'] : []),
  ]
}

const findingLines = ({ code, subject, text, expected, found: has, ...more }: DriftFinding) => [
  '',
  `${code}  ${subject}`,
  `  ${text}`,
  `  expected:    ${expected}`,
  `  on Fly:      ${has}`,
  ...(more.since === null ? [] : [`  since:       ${minuteOf(more.since)} UTC`]),
  `  what to do:  ${more.advice}`,
]

const titled = (title: string, texts: string[]): string[] =>
  texts.map((text, at) => `${(at === 0 ? title : '').padEnd(14)}${text}`)

function addressText({ ip, network }: Address): string {
  if (network === null) return `${ip}, public`
  if (isUnknown(network)) return `${ip}, Flycast; network: unknown (${network.unknown})`
  return `${ip}, Flycast on the network ${network.name}`
}

const dnsTexts = {
  app: 'DNS leads to the app',
  proof: 'DNS only proves whose it is, as behind a CDN',
  none: 'DNS does not lead to the app',
  unknown: 'DNS: unknown',
}

function certificateText({ hostname, state, source, expiresAt, dns }: Certificate): string {
  const by = state === 'issued' && source === 'custom' ? 'imported' : state
  const when =
    expiresAt === null ? '' : ` ${state === 'expired' ? 'on' : 'until'} ${expiresAt.slice(0, 10)}`
  return `${hostname}: ${by}${when}; ${dnsTexts[dns]}`
}
