import type { VersionFacts } from '#api/status/versions.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'

/** The programs of the appliance. Those that are too old are in the first line. */
export function versionsPart(versions: VersionFacts[]): Html {
  const old = versions.filter(({ ok }) => ok === false).map(({ name }) => name)
  return html`<p>
      ${old.length === 0 ? mark('good', 'none is too old') : mark('bad', `too old: ${old.join(', ')}`)}
    </p>
    <details id="all-versions">
      <summary>${versions.length} programs</summary>
      ${versionsTable(versions)}
    </details>`
}

const versionsTable = (versions: VersionFacts[]): Html =>
  table(
    'Versions',
    ['Program', 'Version', 'At least', 'State', 'Pinned', 'Note'],
    versions.map(({ name, version, minimum, ok, pinned, note }) => [
      name,
      version ?? 'not known',
      minimum ?? 'any',
      ok === null ? mark('warning', 'not known') : mark(ok ? 'good' : 'bad', ok ? 'ok' : 'too old'),
      pinned ? 'by digest' : 'no',
      note ?? '',
    ]),
  )
