import type { Owner } from '#api/owners/owner.ts'
import { ownerPart } from '../owners/owner-part.ts'
import { ownersTable } from '../owners/owners-table.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { section } from '../parts/tables.ts'

const ownersShown = 10

/** The owner whose part of the app the page shows. */
export const ownerSection = async (context: PageContext, owner: Promise<Owner>): Promise<Html> =>
  section('owner', 'Owner', await partOf(owner, (found) => ownerPart(context, found)))

/** The owners of an app, and the router that leads to them. Nothing for an app without owners. */
export async function ownersSection(context: PageContext, app: string): Promise<Html> {
  const { commands, caller } = context
  const page = { limit: ownersShown, before: null }
  const owners = await partOf(commands.owners.list(caller, app, {}, page), async (found) => {
    if (found.owners.length === 0) return html``
    const { routers } = await commands.router.list(caller)
    const hasRouter = routers.some((router) => router.app === app)
    return html`${ownersTable(found)}
      <p>
        <a href="${addressOf('owners', { app })}">All its owners</a
        >${hasRouter && html` · <a href="${addressOf('router', { app })}">Its router</a>`}
      </p>`
  })
  return owners.toString() === ''
    ? html`<section id="owners" data-part hidden></section>`
    : section('owners', 'Owners', owners)
}
