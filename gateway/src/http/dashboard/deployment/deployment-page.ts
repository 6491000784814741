import { addresses } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'

export const deploymentPage: Page = {
  path: addresses.deployment,
  section: 'apps',
  async show({ params: { id = '' }, commands, caller }) {
    const { app, number } = await commands.deployment(caller, id)
    return { title: `${app} #${number}`, body: html`<h1>${app} #${number}</h1>` }
  },
}
