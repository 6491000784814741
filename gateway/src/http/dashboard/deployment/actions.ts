import type { Deployment } from '#api/deployment.ts'
import { fill, routes } from '#api/routes.ts'
import { type AskLink, askLinks } from '../actions/ask.ts'
import { cancelUseless } from '../actions/cancel-page.ts'
import { elsewhereForbidden } from '../actions/deploy-elsewhere-page.ts'
import { type RetryKind, retryUseless } from '../actions/retry-page.ts'
import { rollbackAddress, rollbackForbidden } from '../actions/rollback-page.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

/** What can be done with the deployment: links to pages that ask first. One of no use now says why. */
export async function actionsPart(context: PageContext, deployment: Deployment): Promise<Html> {
  const { id, image, source, release } = deployment
  const retry = async (label: string, kind: RetryKind): Promise<AskLink> => ({
    label,
    address: addressOf('retry', { id }, { with: kind }),
    disabledBecause: await retryUseless(context, deployment, kind),
  })

  const links = [
    {
      label: 'Cancel…',
      address: addressOf('cancel', { id }),
      disabledBecause: await cancelUseless(context, deployment),
    },
    await retry('Retry…', 'source'),
  ]
  if (source) links.push(await retry('Rebuild…', 'rebuild'))
  if (source && image) links.push(await retry('Deploy the image again…', 'image'))
  if (release !== null)
    links.push({
      label: 'Roll back to this…',
      address: rollbackAddress(deployment, release),
      disabledBecause: await rollbackForbidden(context, deployment, release),
    })
  if (image)
    links.push({
      label: 'Deploy elsewhere…',
      address: addressOf('deployElsewhere', {}, { deployment: id }),
      disabledBecause: await elsewhereForbidden(context, { deployment: id }, deployment),
    })
  if (source) links.push(await downloadOf(context, id))
  return html`<div id="actions" data-part>${askLinks(links)}</div>`
}

/** A file for whoever may deploy it. */
async function downloadOf({ commands, caller }: PageContext, id: string): Promise<AskLink> {
  const forbidden = await commands.whyNot.sourceFiles.archive(caller, id)
  return {
    label: 'Download the source',
    address: fill(routes.source, { id }),
    disabledBecause: forbidden?.message ?? null,
  }
}
