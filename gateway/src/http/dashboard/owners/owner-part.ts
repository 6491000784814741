import type { Owner } from '#api/owners/owner.ts'
import { stateMark } from '../parts/mark.ts'
import { deploymentLink } from '../parts/links.ts'
import { html, type Html } from '../parts/html.ts'
import type { PageContext } from '../parts/page.ts'
import { problemText } from '../parts/problem-page.ts'
import { facts, table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { ownerActionsPart } from './owner-actions.ts'
import { ownerMark, priceOf } from './owner-words.ts'

/** What an owner's machines do, what they store, and what can be done with them. */
export async function ownerPart(context: PageContext, owner: Owner): Promise<Html> {
  const { app, flyApp, state, since, changedBy, currency, lastDeployment: last, env } = owner
  return html`${facts([
    ['State', ownerMark(state)],
    ['Since', since && html`${timeOf(since)}${changedBy && `, by ${changedBy.by}`}`],
    ['Address', owner.url && html`<a href="${owner.url}">${owner.url}</a>`],
    ['App on Fly', flyApp === app ? `${app}, shared with the other owners` : `${flyApp}, its own`],
    ['Memory', owner.memoryMib > 0 ? `${owner.memoryMib} MiB` : null],
    ['Cost', priceText(owner, currency)],
    ['Variables', env.join(', ') || 'none'],
    ['Last deployment', last && html`${deploymentLink(last.id)} ${stateMark(last.state)}`],
  ])}
  ${last?.problem && problemText(last.problem.title, last.problem.detail, null)}
  ${volumesTable(owner)} ${await ownerActionsPart(context, owner)}`
}

function priceText(owner: Owner, currency: string | null): string | null {
  const price = priceOf(owner, currency)
  return price && `${price} in an hour in which it runs`
}

const volumesTable = ({ volumes }: Owner): Html =>
  volumes.length === 0
    ? html`<p class="quiet">It has no volumes.</p>`
    : table(
        'Volumes',
        ['Volume', 'Name', 'Region', 'Size', 'Machine'],
        volumes.map(({ id, name, region, sizeGb, machine }) => [
          html`<code>${id}</code>`,
          name,
          region,
          sizeGb === null ? '' : `${sizeGb} GB`,
          machine === null ? 'none' : html`<code>${machine}</code>`,
        ]),
      )
