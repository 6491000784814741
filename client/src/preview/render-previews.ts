import type { Preview, PreviewPage } from '#api/previews/preview.ts'
import type { PreviewStats } from '#api/previews/preview-stats.ts'
import { moneyText } from '#api/status/cost.ts'
import { roughDuration } from '#api/status/render.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'
import { tellingLines } from '#api/text/telling-lines.ts'
import type { DeploymentRecord } from '../answers.ts'

const lastLinesShown = 10

const secondsBetween = (from: string, to: number | string): number =>
  Math.max(0, (new Date(to).getTime() - Date.parse(from)) / 1000)

export const isOver = ({ state }: Pick<Preview, 'state'>): boolean =>
  state === 'destroyed' || state === 'failed'

/** `now`: milliseconds since 1970. */
export function previewLines({ previews, next }: PreviewPage, now: number): string[] {
  if (previews.length === 0) return ['no preview matches']
  const rows = previews.map((preview) => {
    const { id, app, owner, state, createdAt, expiresAt, endedAt, url } = preview
    const isEnding = isOver(preview) || state === 'destroying'
    const age = roughDuration(secondsBetween(createdAt, endedAt ?? now))
    const left = isEnding ? '' : roughDuration((Date.parse(expiresAt) - now) / 1000)
    return [id, app, owner, state, age, left, isEnding ? '' : (url ?? '')]
  })
  const head = ['PREVIEW', 'APP', 'OWNER', 'STATE', 'AGE', 'LEFT', 'URL']
  const more = next === null ? [] : ['', `more: --cursor ${next}`]
  return [...table([head, ...rows], []), ...more]
}

/** `pv-… is ready, until 2026-11-30 12:15 UTC: 14 min from now` */
export function untilText({ id, state, expiresAt }: Preview, now: number): string {
  const left = roughDuration(Math.max(0, (Date.parse(expiresAt) - now) / 1000))
  return `${id} is ${state}, until ${minuteOf(expiresAt)} UTC: ${left} from now`
}

/** All facts of a preview. When it failed, also why, and what its program printed last. */
export function factLines(
  preview: Preview,
  deployment: DeploymentRecord | null,
  now: number,
): string[] {
  const { id, app, owner, state, url, createdAt, readyAt, expiresAt, endedAt } = preview
  const { flyApp, template, triggeredBy, ending, problem } = preview
  const age = roughDuration(secondsBetween(createdAt, now))
  const by = triggeredBy ? `, by ${triggeredBy.name}` : ''
  const ended =
    ending && ending.why !== state && `${ending.why}${ending.by ? `, by ${ending.by}` : ''}`
  const rows: [string, string | null | false][] = [
    ['preview', id],
    ['state', ended ? `${state} (${ended})` : state],
    ['url', !endedAt && url],
    ['app', app],
    ['owner', owner],
    ['template', template && `${template.name}@${template.version}`],
    ['created', `${minuteOf(createdAt)} UTC, ${age} ago${by}`],
    ['ready', readyAt && `after ${roughDuration(secondsBetween(createdAt, readyAt))}`],
    ['until', !endedAt && `${minuteOf(expiresAt)} UTC`],
    ['ended', endedAt && `${minuteOf(endedAt)} UTC`],
    ['app on Fly', flyApp],
    ['image', deployment?.image?.reference ?? null],
    ['machines', deployment?.machines?.map((machine) => machine.id).join(', ') || null],
    ['deployment', preview.deployment],
  ]
  const facts = rows.flatMap(([name, value]) => (value ? [`${name.padEnd(12)}${value}`] : []))
  if (!problem) return facts
  const last: unknown = problem['lastLines']
  const printed = Array.isArray(last) ? tellingLines(last.map(String), lastLinesShown) : []
  return [
    ...facts,
    '',
    `${problem.title}. ${problem.detail}`,
    ...printed.map((line) => `   | ${line}`),
    `The whole log: tarmac preview show ${id} --log`,
  ]
}

/** `3 previews: 2 ready, 1 starting` */
export function countText({ count, states }: PreviewStats): string {
  if (count === 0) return 'no previews'
  const each = Object.entries(states).map(([state, n]) => `${n} ${state}`)
  return `${count} ${count === 1 ? 'preview' : 'previews'}: ${each.join(', ')}`
}

/** The same, with the age of the oldest. */
export const countAndAge = (stats: PreviewStats): string =>
  stats.ageSeconds
    ? `${countText(stats)}; the oldest is ${roughDuration(stats.ageSeconds.oldest)} old`
    : countText(stats)

export const stuckLines = ({ stuck }: PreviewStats): string[] =>
  stuck.map(
    ({ id, app, owner, state, since, why }) =>
      `stuck: ${id} of ${app} for ${owner} is ${state} since ${minuteOf(since)} UTC: ${why}`,
  )

export function statsLines(stats: PreviewStats): string[] {
  const { owners, teams, currency, perHour, unpriced } = stats
  const money = (amount: number | null) =>
    amount === null || currency === null ? '' : moneyText(amount, currency)
  const without = unpriced > 0 ? `, without ${unpriced} of unknown price` : ''
  const cost =
    currency === null
      ? 'cost: not known; the gateway has no price table (TARMAC_PRICES)'
      : `cost: ${money(perHour)} in an hour in which all run${without}`
  const owned = owners.map(({ app, owner, count, oldestSeconds, perHour: each }) => [
    app,
    owner,
    `${count}`,
    roughDuration(oldestSeconds),
    money(each),
  ])
  const ofTeams = teams.map(({ team, count, oldestSeconds, perHour: each }) => [
    team,
    `${count}`,
    roughDuration(oldestSeconds),
    money(each),
  ])
  if (stats.count === 0) return [countText(stats)]
  return [
    countAndAge(stats),
    cost,
    ...stuckLines(stats),
    '',
    ...table([['APP', 'OWNER', 'PREVIEWS', 'OLDEST', 'PER HOUR'], ...owned], [2]),
    '',
    ...table([['TEAM', 'PREVIEWS', 'OLDEST', 'PER HOUR'], ...ofTeams], [1]),
  ]
}
