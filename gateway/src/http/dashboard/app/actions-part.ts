import type { ReleasePage } from '#api/release.ts'
import { askLink } from '../actions/ask.ts'
import { elsewhereForbidden } from '../actions/deploy-elsewhere-page.ts'
import { rollbackAddress, rollbackForbidden } from '../actions/rollback-page.ts'
import type { Target } from '../actions/words.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

/** What can be done with the app: links to pages that ask first. One of no use now says why. */
export async function actionsPart(
  context: PageContext,
  { app, owner }: Target,
  { releases }: ReleasePage,
): Promise<Html> {
  const { commands, caller } = context
  const target = { app, owner }
  const [newest, before] = releases
  const mayNot = await rollbackForbidden(context, target, before?.number ?? null)
  const dropCache = await commands.whyNot.removeCache(caller, app)
  const elsewhere = newest && { ...target, release: newest.number }
  return html`<div class="actions">
    <span
      >${askLink(
        before ? `Roll back to release ${before.number}…` : 'Roll back…',
        rollbackAddress(target, before?.number ?? 0),
        mayNot ?? (before ? null : 'There is no earlier release.'),
      )}</span
    >
    <span
      >${askLink(
        newest ? `Deploy release ${newest.number} elsewhere…` : 'Deploy elsewhere…',
        addressOf('deployElsewhere', {}, elsewhere ?? {}),
        elsewhere ? await elsewhereForbidden(context, elsewhere, target) : 'There is no release.',
      )}</span
    >
    <span
      >${askLink(
        'Drop the build cache…',
        addressOf('dropCache', { app }),
        dropCache?.message ?? null,
      )}</span
    >
  </div>`
}
