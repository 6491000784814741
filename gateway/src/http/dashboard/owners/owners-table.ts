import type { OwnerPage } from '#api/owners/owner.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'
import { ownerMark, priceOf } from './owner-words.ts'

/** Owners by name, each with a link to its part of the app. */
export const ownersTable = ({ owners, currency }: OwnerPage): Html =>
  table(
    'Owners',
    ['Owner', 'State', 'Since', 'Machines', 'Release', 'Memory', 'Cost an hour', 'Address'],
    owners.map((each) => [
      html`<a href="${addressOf('app', { app: each.app }, { owner: each.owner })}"
        >${each.owner}</a
      >`,
      ownerMark(each.state),
      each.since === null ? '' : timeOf(each.since),
      each.flyApp === each.app
        ? each.machineCount
        : html`${each.machineCount} in its own app <code>${each.flyApp}</code>`,
      each.release === null
        ? ''
        : html`<a href="${addressOf('deployment', { id: each.release.deployment })}"
            >${each.release.number}</a
          >`,
      each.memoryMib > 0 ? `${each.memoryMib} MiB` : '',
      priceOf(each, currency) ?? '',
      each.url === null ? '' : html`<a href="${each.url}">${each.url}</a>`,
    ]),
  )
