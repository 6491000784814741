import type { ReleasePage } from '#api/release.ts'
import { askLinks } from '../actions/ask.ts'
import { elsewhereForbidden } from '../actions/deploy-elsewhere-page.ts'
import { rollbackAddress, rollbackForbidden } from '../actions/rollback-page.ts'
import type { Target } from '../actions/words.ts'
import { addressOf } from '../parts/addresses.ts'
import type { Html } from '../parts/html.ts'
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
  return askLinks([
    {
      label: before ? `Roll back to release ${before.number}…` : 'Roll back…',
      address: rollbackAddress(target, before?.number ?? 0),
      disabledBecause: mayNot ?? (before ? null : 'There is no earlier release.'),
    },
    {
      label: newest ? `Deploy release ${newest.number} elsewhere…` : 'Deploy elsewhere…',
      address: addressOf('deployElsewhere', {}, elsewhere ?? {}),
      disabledBecause: elsewhere
        ? await elsewhereForbidden(context, elsewhere, target)
        : 'There is no release.',
    },
    {
      label: 'Deploy an image…',
      address: addressOf('deployImage', { app }, { owner }),
      disabledBecause: await elsewhereForbidden(context, { image: 'any' }, target),
    },
    {
      label: 'Drop the build cache…',
      address: addressOf('dropCache', { app }),
      disabledBecause: dropCache?.message ?? null,
    },
  ])
}
