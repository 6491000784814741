import { OwnerFilter, OwnerState } from '#api/owners/owner.ts'
import { readFilter } from '#api/overview/overview.ts'
import { selectField } from '../forms/fields.ts'
import { given } from '../lists/given.ts'
import { cursorOf } from '../lists/cursor.ts'
import { firstCommand } from '../lists/first-command.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { section } from '../parts/tables.ts'
import { ownersTable } from './owners-table.ts'

const seconds = 15
const ownersShown = 100

/** The owners of an app: what their machines do, where they are, and what they cost. */
export const ownersPage: Page = {
  path: addresses.owners,
  section: 'apps',
  assets: ['boards.css'],
  async show({ commands, caller, params, query, gateway }) {
    const app = params['app'] ?? ''
    const { state } = readFilter(OwnerFilter, given(query))
    const page = { limit: ownersShown, before: cursorOf(query, /^[a-z0-9-]{1,63}$/) }
    const found = await commands.owners.list(caller, app, { ...(state && { state }) }, page)
    const options = OwnerState.options.map((each) => [each, each] as const)
    return {
      title: `Owners of ${app}`,
      live: { seconds },
      body: html`<p class="crumbs">
          <a href="${addressOf('home')}">Apps</a> /
          <a href="${addressOf('app', { app })}">${app}</a>
        </p>
        <h1>Owners of ${app}</h1>
        <form class="filter" method="get" action="${addressOf('owners', { app })}" role="search">
          ${selectField(null, { name: 'state', label: 'State', value: state ?? '', options: [['', 'any'], ...options] })}
          <button>Filter</button>
        </form>
        ${section(
          'owners',
          'Owners',
          found.owners.length > 0
            ? html`${ownersTable(found)}
              ${found.next !== null && html`<p><a href="${addressOf('owners', { app }, { state: state ?? null, cursor: found.next })}">More owners</a></p>`}`
            : firstCommand(
                state
                  ? `No owner is ${state}. To make one:`
                  : 'An owner is a user whose machines are kept apart. There is none yet. To make one:',
                gateway,
                `tarmac deploy ${app} --owner ada`,
              ),
        )}`,
    }
  },
}
