import type { VersionFacts } from '#api/status/versions.ts'
import type { Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import { table } from '../parts/tables.ts'

/** The programs of the appliance. */
export const versionsTable = (versions: VersionFacts[]): Html =>
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
