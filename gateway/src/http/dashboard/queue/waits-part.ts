import type { Deployment } from '#api/deployment.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { html, type Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import { durationText, timeOf } from '../parts/time.ts'
import { columnPicture, numbers } from '../pictures/column-picture.ts'
import { medianOf } from '../pictures/columns.ts'

/** How long the last deployments of all apps waited for their turn, oldest first. `all`: newest first. */
export function waitsPart(all: Deployment[]): Html {
  const begun = all.filter(({ phases }) => phases.pending !== undefined).toReversed()
  if (begun.length === 0) return html`<p class="quiet">No deployment has begun yet.</p>`
  const waits = begun.map(({ phases }) => phases.pending ?? 0)
  return html`${columnPicture({
    summary: `The last ${begun.length}, oldest first. Half waited ${durationText(medianOf(waits))} or less, none more than ${durationText(Math.max(...waits))}.`,
    kinds: [{ name: 'waiting for its turn', look: 'phase-pending' }],
    columns: begun.map(({ app, number }, at) => ({
      values: [waits[at]!],
      name: `${app} #${number}`,
    })),
    text: durationText,
  })}
  ${numbers(
    'waits',
    'How long deployments waited',
    ['Deployment', 'Waited', 'State', 'When'],
    begun
      .map((each, at) => [
        numberLink(each),
        durationText(waits[at]!),
        stateMark(each.state),
        timeOf(each.createdAt),
      ])
      .toReversed(),
  )}`
}
