import { addressOf } from './addresses.ts'
import { html, type Html } from './html.ts'

/** By the end of its id: ids of the same minute begin alike. */
export const deploymentLink = (id: string): Html =>
  html`<a href="${addressOf('deployment', { id })}"><code>${id.slice(-8)}</code></a>`
