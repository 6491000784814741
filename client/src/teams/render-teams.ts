import type { GatewayLimit, LimitsAnswer } from '#api/callers/limits.ts'
import type { QuotaFact } from '#api/callers/quotas.ts'
import { defaultTeam, type Team } from '#api/callers/teams.ts'
import { inMb } from '#api/text/in-mb.ts'
import { someOf } from '#api/text/some-of.ts'
import { table } from '#api/text/table.ts'
import { minuteOf } from '#api/text/minute-of.ts'

/** `tarmac team list`. */
export function teamsText(teams: readonly Team[]): string[] {
  if (teams.length === 0)
    return ['There are no teams: all apps are together. To make the first: tarmac team create TEAM']
  const rows = teams.map(({ name, members, apps, quotas }) => [
    name,
    members === null ? '-' : `${members.length}`,
    `${apps.length}`,
    limited(quotas)
      .map(({ quota, limit }) => `${quota} ${limit}`)
      .join(', '),
  ])
  return table([['TEAM', 'MEMBERS', 'APPS', 'QUOTAS'], ...rows], [1, 2])
}

/** `tarmac team show`. */
export function teamText({ name, createdAt, members, apps, quotas }: Team): string[] {
  const rows = limited(quotas).map((fact) => `${fact.quota}: ${useText(fact)}`)
  return [
    `team      ${name}, since ${createdAt.slice(0, 10)}`,
    ...part('members', [membersText(name, members)]),
    ...part('apps', [apps.length > 0 ? someOf(apps, 50) : 'none']),
    ...part('quotas', rows.length > 0 ? rows : ['none']),
  ]
}

/** `tarmac limits`. */
export function limitsText({ quotas, limits }: LimitsAnswer): string[] {
  const named = quotas.some(({ team }) => team !== undefined)
  const own = quotas.map((fact) => [...(named ? [fact.team ?? ''] : []), fact.quota, useText(fact)])
  const head = [...(named ? ['TEAM'] : []), 'QUOTA', 'USED']
  const rows = limits.map((limit) => [limit.name, valueText(limit), limit.setting ?? ''])
  return [
    ...(own.length > 0 ? table([head, ...own], []) : ['No quota limits this caller.']),
    '',
    ...table([['LIMIT OF THE GATEWAY', 'AT MOST', 'SETTING'], ...rows], [1]),
  ]
}

/** `12 of 600 requests, until 09:11:00 UTC`. */
function useText({ what, limit, used, resetsAt }: QuotaFact): string {
  const until = resetsAt === null ? '' : `, until ${minuteOf(resetsAt)} UTC`
  return `${used ?? 'an unknown number'} of ${limit} ${what}${until}`
}

const limited = (quotas: readonly QuotaFact[]) => quotas.filter(({ limit }) => limit !== null)

function membersText(team: string, members: Team['members']): string {
  if (members === null) return 'not shown to a caller that is limited to some apps'
  if (members.length > 0) return someOf(members, 50)
  return team === defaultTeam
    ? 'all callers that were never added to a team'
    : `none; to add one: tarmac team add-member ${team} token:NAME`
}

const part = (name: string, lines: string[]) =>
  lines.map((line, at) => (at === 0 ? name : '').padEnd(10) + line)

const valueText = ({ value, unit }: GatewayLimit) =>
  unit === 'bytes' && value >= 1e6 ? inMb(value) : `${value.toLocaleString('en')} ${unit}`
