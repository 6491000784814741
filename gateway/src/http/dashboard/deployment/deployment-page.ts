import { addresses } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { logAssets, logPart, lookAtLog } from './log-part.ts'

export const deploymentPage: Page = {
  path: addresses.deployment,
  section: 'apps',
  assets: logAssets,
  async show(context) {
    const { commands, caller, params, isRefresh } = context
    const deployment = await commands.deployment(caller, params['id'] ?? '')
    const { app, number } = deployment
    const log = await lookAtLog(context, deployment)
    return {
      title: `${app} #${number}`,
      body: html`<h1>${app} #${number}</h1>
        ${!isRefresh && logPart(deployment, log)}`,
    }
  },
}
