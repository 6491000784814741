import type { Queue, QueueEntry } from '#api/overview/queue.ts'
import { waitsFor } from '#api/text/event-words.ts'
import { touchesMachines } from '../../../deployments/states.ts'
import { cancelCells } from '../lists/cancel-cell.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { button, confirmation, postForm } from '../parts/form.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import type { Action, PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { runningSince } from '../parts/time.ts'
import { expectedText } from './expected-text.ts'

const blockersShown = 3

export async function waitingTable(context: PageContext, { entries, isCut }: Queue): Promise<Html> {
  const waiting = entries.filter(({ state }) => state === 'pending')
  const cancel = await cancelCells(context, waiting)
  const first = await Promise.all(waiting.map((entry) => firstCell(context, entry)))
  return html`${table(
      'Deployments that wait, oldest first',
      ['Deployment', 'Waits for', 'Place', 'For', 'Starts', 'Ends', 'By', 'Action'],
      waiting.map((entry, at) => [
        numberLink(entry),
        html`${reason(entry, entries)}${entry.movedUp && html` ${mark('busy', 'goes first')}`}`,
        entry.waiting?.place ?? '',
        runningSince(entry.stateSince),
        expectedText(entry.startsAt),
        expectedText(entry.endsAt),
        entry.triggeredBy?.name ?? '',
        html`${cancel[at]} ${first[at]}`,
      ]),
    )}
    ${isCut && html`<p class="quiet">There are more, which are not listed here.</p>`}
    <p class="quiet">
      Starts and ends follow from the last deployments of each app that succeeded. They are not
      known behind an app that has none, while nothing may start, and in a queue of more than 100.
    </p>`
}

function reason({ waiting, app }: QueueEntry, entries: readonly QueueEntry[]): Html {
  if (!waiting) return html`nothing: it starts now`
  if (waiting.behind !== null)
    return html`<a href="${addressOf('deployment', { id: waiting.behind })}"
        >the deployment before it</a
      >
      in its lane`
  const running = entries.filter(({ state }) => state !== 'pending')
  const building = running.filter(({ state }) => !touchesMachines(state))
  const blockers = {
    app: building.filter((each) => each.app === app),
    builds: building,
    deploys: running.filter(({ state }) => touchesMachines(state)),
  } as Partial<Record<typeof waiting.for, QueueEntry[]>>
  return html`${waitsFor({ type: 'waiting', ...waiting })}${blockersText(blockers[waiting.for] ?? [])}`
}

const blockersText = (blockers: QueueEntry[]): Html | false =>
  blockers.length > 0 &&
  html`:
  ${blockers.slice(0, blockersShown).map((each, at) => html`${at > 0 && ', '}${numberLink(each)}`)}${blockers.length > blockersShown && ` and ${blockers.length - blockersShown} more`}`

/** Empty where the caller may not. */
async function firstCell(
  context: PageContext,
  { id, app, number, movedUp }: QueueEntry,
): Promise<Html | string> {
  const { commands, caller } = context
  if (movedUp || (await commands.whyNot.queue.first(caller, id))) return ''
  return confirmation(
    `first-${id}`,
    'Go first…',
    postForm(
      context,
      addressOf('goFirst', { id }),
      html`<p>
          ${app} #${number} goes before all others that wait, and so does what is ahead of it in its
          lane. What runs goes on, and limits of its app and team stay.
        </p>
        ${button('Let it go first')}`,
    ),
  )
}

export const goFirst: Action = {
  path: addresses.goFirst,
  async act({ commands, caller, params }) {
    await commands.queue.first(caller, params['id'] ?? '')
    return addressOf('queue')
  },
}
