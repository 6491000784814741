import { addresses } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'

export const appPage: Page = {
  path: addresses.app,
  section: 'apps',
  async show({ params: { app = '' } }) {
    return { title: app, body: html`<h1>${app}</h1>` }
  },
}
