import type { AuditPage } from '#api/callers/audit.ts'
import { readAuditFilter } from '../../routes/callers/audit.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { cursorOf } from '../lists/cursor.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section } from '../parts/tables.ts'
import { command } from '../parts/tables.ts'
import { entriesTable } from './entries-table.ts'
import { filterForm, namesOfFilter } from './filter-form.ts'

const entriesShown = 50

/** Who changed what, also what was refused: newest first, by filters, page by page. */
export const auditPage: Page = {
  path: addresses.audit,
  section: 'audit',
  assets: ['boards.css'],
  async show({ commands, caller, query, gateway }) {
    const list = async () =>
      commands.audit.list(caller, readAuditFilter(query), {
        limit: entriesShown,
        before: cursorOf(query),
      })
    return {
      title: 'Audit',
      body: html`<h1>Audit</h1>
        ${filterForm(query)}
        ${section('entries', 'Newest first', await partOf(list(), (page) => entriesPart(page, query)))}
        <p class="quiet">All entries as a file, one on each line:</p>
        ${command(`curl -H "Authorization: Bearer $TARMAC_TOKEN" -H 'Accept: application/x-ndjson' ${gateway}/v1/audit`)}`,
    }
  },
}

function entriesPart({ entries, next }: AuditPage, query: URLSearchParams): Html {
  const filter = Object.fromEntries(namesOfFilter.map((name) => [name, query.get(name) || null]))
  const isFiltered = Object.values(filter).some((value) => value !== null)
  if (entries.length === 0 && next === null)
    return isFiltered
      ? html`<p>No entry matches. <a href="${addressOf('audit')}">All entries</a></p>`
      : html`<p>Nothing that you may see has been changed yet.</p>`
  return html`${entriesTable(entries)}
  ${next && html`<p><a href="${addressOf('audit', {}, { ...filter, cursor: next })}">Older entries</a></p>`}`
}
