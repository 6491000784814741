import type { AuditEntry } from '#api/callers/audit.ts'
import { html, type Html } from '../parts/html.ts'
import { deploymentLink } from '../parts/links.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** All that callers did to the app: deployments, rollbacks, changes of variables and machines. */
export const activityPart = (entries: AuditEntry[]): Html =>
  entries.length === 0
    ? html`<p class="quiet">Nothing yet.</p>`
    : table(
        'Activity',
        ['When', 'Who', 'Command', 'Result', 'What changed'],
        entries.map((each) => [
          timeOf(each.at),
          each.caller.name,
          html`<code>${each.command}</code>`,
          mark(moodOf(each.result), each.result),
          whatText(each),
        ]),
      )

const moods: Record<string, Mood> = { ok: 'good', running: 'busy', unknown: 'warning' }
const moodOf = (result: string): Mood => moods[result] ?? 'bad'

const idPattern = /^[\da-f]{8}-[\da-f-]{27}$/

function whatText({ asked, before, after, made }: AuditEntry): Html {
  const link = made !== null && idPattern.test(made) && html`${deploymentLink(made)} `
  const texts = [...askedTexts(asked ?? {}), ...changeTexts(before ?? {}, after ?? {})]
  return html`${link}<span class="mono quiet">${texts.join(', ')}</span>`
}

type Fields = Record<string, unknown>

const askedTexts = (asked: Fields): string[] =>
  Object.entries(asked).flatMap(([name, value]) =>
    isNothing(value) ? [] : [`${name} ${valueText(value)}`],
  )

const changeTexts = (before: Fields, after: Fields): string[] =>
  Object.keys({ ...before, ...after }).map(
    (name) => `${name} ${valueText(before[name])} → ${valueText(after[name])}`,
  )

const isNothing = (value: unknown): boolean =>
  value === null || (Array.isArray(value) && value.length === 0)

/** A digest is known by its beginning. */
const valueText = (value: unknown): string =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none')).replaceAll(
    /sha256:[\da-f]{64}/g,
    (digest) => `${digest.slice(0, 19)}…`,
  )
