import { html, type Html } from '../parts/html.ts'
import { command } from '../parts/tables.ts'

/** For a page that has nothing to show yet: what to type, with the address of this gateway. */
export const firstCommand = (why: string, gateway: string, line: string): Html =>
  html`<p>${why}</p>
    ${command(`export TARMAC_GATEWAY=${gateway} TARMAC_TOKEN='your token'\n${line}`)}`
