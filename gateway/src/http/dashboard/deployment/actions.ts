import type { Deployment } from '#api/deployment.ts'
import { askLink } from '../actions/ask.ts'
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
  const retry = async (label: string, kind: RetryKind) =>
    askLink(
      label,
      addressOf('retry', { id }, { with: kind }),
      await retryUseless(context, deployment, kind),
    )

  const links = await Promise.all([
    askLink('Cancel…', addressOf('cancel', { id }), await cancelUseless(context, deployment)),
    retry('Retry…', 'source'),
    source && retry('Rebuild…', 'rebuild'),
    source && image && retry('Deploy the image again…', 'image'),
    release !== null && rollbackLink(context, deployment, release),
    image && elsewhereLink(context, deployment),
  ])
  return html`<div id="actions" class="actions" data-part>
    ${links.map((link) => link && html`<span>${link}</span>`)}
  </div>`
}

async function rollbackLink(
  context: PageContext,
  deployment: Deployment,
  release: number,
): Promise<Html> {
  const forbidden = await rollbackForbidden(context, deployment, release)
  return askLink('Roll back to this…', rollbackAddress(deployment, release), forbidden)
}

async function elsewhereLink(context: PageContext, deployment: Deployment): Promise<Html> {
  const source = { deployment: deployment.id }
  const forbidden = await elsewhereForbidden(context, source, deployment)
  return askLink('Deploy elsewhere…', addressOf('deployElsewhere', {}, source), forbidden)
}
