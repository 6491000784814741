import type { AuditEntry } from '#api/callers/audit.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import { appLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

const targetsShown = 5

export const entriesTable = (entries: AuditEntry[]): Html =>
  table(
    'Entries of the audit trail, newest first',
    ['When', 'Who', 'Command', 'What', 'Result', 'Details'],
    entries.map((entry) => [
      timeOf(entry.at),
      html`${entry.caller.name}${entry.caller.address && html` <span class="quiet">${entry.caller.address}</span>`}`,
      entry.command,
      targetsText(entry),
      resultMark(entry.result),
      details(entry),
    ]),
  )

function targetsText({ targets, made }: AuditEntry): Html {
  const shown = targets.slice(0, targetsShown).map(({ app, owner }) => appLink(app, owner ?? null))
  const more = targets.length - shown.length
  return html`${shown.map((link, at) => html`${at > 0 && ', '}${link}`)}${more > 0 && ` and ${more} more`}${made && html` <span class="quiet">${made}</span>`}`
}

const moods: Record<string, Mood> = { ok: 'good', running: 'busy', unknown: 'warning' }
const resultMark = (result: string): Html => {
  const word = mark(moods[result] ?? 'bad', result)
  return moods[result]
    ? word
    : html`<a href="${`/problems/${encodeURIComponent(result)}`}">${word}</a>`
}

/** What was asked, and what changed. Secrets are not in the trail. */
function details({ number, asked, before, after }: AuditEntry): Html {
  const all = Object.entries({ asked, before, after }).filter(([, facts]) => facts !== null)
  if (all.length === 0) return html``
  return html`<details id="entry-${number}">
    <summary>entry ${number}</summary>
    <pre>${all.map(([name, facts]) => `${name} ${visibleJson(facts)}\n`)}</pre>
  </details>`
}
