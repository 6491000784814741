import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { command } from '../parts/tables.ts'

/** What to type first, with the address of this gateway. */
export const noApps = ({ gateway, caller }: Pick<PageContext, 'gateway' | 'caller'>): Html =>
  html` <p>Go to a folder with a program, and type:</p>
    ${command(`export TARMAC_GATEWAY=${gateway}${caller.isOpen ? '' : " TARMAC_TOKEN='your token'"}
tarmac deploy my-app`)}
    <p>Or without the client:</p>
    ${command(`export GATEWAY=${gateway}${caller.isOpen ? '' : " T='your token'"}
tar cz . | curl -sSNT - ${caller.isOpen ? '' : '-H "Authorization: Bearer $T" '}$GATEWAY/deploy/my-app`)}
    <p>
      The app appears here as soon as its source has arrived. <code>my-app</code> is its name on
      Fly, where each name exists once.
    </p>`
