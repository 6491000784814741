import type { AuditEntry } from '#api/callers/audit.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
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
  const texts = [
    asked && JSON.stringify(asked),
    (before || after) && `${JSON.stringify(before)} → ${JSON.stringify(after)}`,
  ].filter(Boolean)
  const link =
    made !== null &&
    idPattern.test(made) &&
    html`<a href="${addressOf('deployment', { id: made })}"><code>${made.slice(0, 8)}</code></a> `
  return html`${link}<span class="mono quiet">${texts.join(' ')}</span>`
}
