import { AuditPage, type AuditEntry } from '#api/callers/audit.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { table } from '#api/text/table.ts'
import { appName, wrongUse } from '../option.ts'
import type { Gateway } from '../gateway.ts'
import type { Printer } from '../print.ts'

export type AuditRequest = { query: URLSearchParams; limit: number }
type Values = Partial<Record<'app' | 'caller' | 'command' | 'since' | 'result' | 'limit', string>>

export const auditFlags = {
  caller: { type: 'string' },
  command: { type: 'string' },
  since: { type: 'string' },
  result: { type: 'string' },
  limit: { type: 'string' },
} as const

export const auditHelp = `Options of audit:
  --app NAME            only what concerns this app
  --caller NAME         only this caller, as token:ci; with * at the end: all whose name begins so
  --command NAME        only this command, as submit
  --result RESULT       ok, failed, or the code of a problem
  --since WHEN          only since then: 30m, 12h, 7d, or a day as 2026-05-04
  --limit N             so many entries, newest first; default 50`

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 }
const pageEntries = 100
const maxEntries = 10_000

/** Reads the options of `tarmac audit`. */
export function readAudit(values: Values, nowMs = Date.now()): AuditRequest {
  const { app, caller, command, result, since, limit = '50' } = values
  const query = new URLSearchParams({
    ...(app !== undefined && { app: appName(app) }),
    ...(caller !== undefined && { caller }),
    ...(command !== undefined && { command }),
    ...(result !== undefined && { result }),
    ...(since !== undefined && { from: sinceText(since, nowMs) }),
  })
  if (!/^\d{1,5}$/.test(limit) || Number(limit) < 1 || Number(limit) > maxEntries)
    throw wrongUse(`--limit is a number from 1 to ${maxEntries}, not ${limit}.`)
  return { query, limit: Number(limit) }
}

function sinceText(since: string, nowMs: number): string {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(since) ?? []
  if (unit === 'm' || unit === 'h' || unit === 'd')
    return new Date(Math.max(0, nowMs - Number(count) * unitMs[unit])).toISOString()
  if (/^\d{4}-\d\d-\d\d(?:T[\d:.]{5,15}Z)?$/.test(since)) return since
  throw wrongUse(`--since is given as 30m, 12h, 7d, or a day as 2026-05-04, not as ${since}.`)
}

/** Lists what callers changed, newest first. */
export async function audit(
  { query, limit }: AuditRequest,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const entries: AuditEntry[] = []
  let next: string | null = ''
  while (next !== null && entries.length < limit) {
    const page = new URLSearchParams(query)
    page.set('limit', String(Math.min(pageEntries, limit - entries.length)))
    if (next) page.set('cursor', next)
    const answer = await gateway.ask('GET', `${routes.audit}?${page.toString()}`, signal)
    const { data } = AuditPage.safeParse(answer)
    if (!data)
      throw new Problem('internal', 'The gateway’s answer about its audit trail could not be read.')
    entries.push(...data.entries)
    next = data.next
  }
  return printer.result({ entries, next }, auditLines(entries, next !== null))
}

/** One line for each entry, as a table. */
export function auditLines(entries: AuditEntry[], isMore: boolean): string[] {
  if (entries.length === 0) return ['No entry of the audit trail is like that.']
  const rows = [
    ['TIME (UTC)', 'CALLER', 'COMMAND', 'APP', 'RESULT', ''],
    ...entries.map((entry) => [
      entry.at.slice(0, 19).replace('T', ' '),
      entry.caller.name,
      entry.command,
      appsText(entry),
      entry.result,
      moreText(entry),
    ]),
  ]
  const lines = table(rows, [])
  return isMore ? [...lines, 'There are more: give --limit N.'] : lines
}

function appsText({ targets }: AuditEntry): string {
  const [first, ...others] = targets
  if (!first) return '-'
  const name = first.owner ? `${first.app} (${first.owner})` : first.app
  return others.length > 0 ? `${name} and ${others.length} more` : name
}

function moreText({ made, asked, before, after }: AuditEntry): string {
  const isAsked = ([name, value]: [string, unknown]) =>
    asked !== null && json(asked[name]) === json(value)
  const news = Object.entries(after ?? {}).filter((each) => !isAsked(each))
  const changed = news.map(([name, value]) => {
    const was = before && name in before ? `${json(before[name])} to ` : ''
    return `${name}: ${was}${json(value)}`
  })
  const gone = Object.keys(before ?? {}).filter((name) => !(name in (after ?? {})))
  const parts = [
    ...Object.entries(asked ?? {}).map(([name, value]) => `${name}=${json(value)}`),
    ...changed,
    ...gone.map((name) => `${name}: removed`),
    ...(made === null ? [] : [`made ${made}`]),
  ]
  return parts.join(', ')
}

function json(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`
}
