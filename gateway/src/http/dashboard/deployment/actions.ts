import type { Deployment } from '#api/deployment.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'

/** What the caller can do with the deployment now. */
export const actionsPart = (_context: PageContext, _deployment: Deployment): Html =>
  html`<div id="actions" data-part></div>`
