import type { Difference } from '#api/release.ts'
import { Problem } from '#api/problem.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { ownerOf } from './owner-of.ts'

/** What changed between two releases of a target. */
export const releaseDiffPage: Page = {
  path: addresses.releaseDiff,
  section: 'apps',
  async show({ commands, caller, params, query }) {
    const { app = '' } = params
    const owner = ownerOf(query)
    const [from, to] = [numberIn(params['from']), numberIn(params['to'])]
    const { differences } = await commands.releaseDiff(caller, { app, owner }, from, to)
    return {
      title: `${app}: releases ${from} and ${to}`,
      body: html`<p class="crumbs">
          <a href="${addressOf('home')}">Apps</a> /
          <a href="${addressOf('app', { app }, { owner })}">${app}</a>${owner && html` / ${owner}`}
        </p>
        <h1>From release ${from} to release ${to}</h1>
        ${differences.length === 0 ? html`<p>Both have the same image, settings, variables and secrets.</p>` : differencesTable(differences, from, to)}`,
    }
  },
}

export const differencesTable = (differences: Difference[], from: number, to: number): Html =>
  table(
    'Differences',
    ['What', `Release ${from}`, `Release ${to}`],
    differences.map((each) => [each.path, valueText(each.before), valueText(each.after)]),
  )

const valueText = (value: unknown): Html | string =>
  value === undefined
    ? html`<span class="quiet">none</span>`
    : html`<code class="lines">${typeof value === 'string' ? value : JSON.stringify(value)}</code>`

function numberIn(text: string | undefined): number {
  if (text !== undefined && /^\d{1,9}$/.test(text)) return Number(text)
  throw new Problem('route-not-found', 'A release is named by its number.')
}
