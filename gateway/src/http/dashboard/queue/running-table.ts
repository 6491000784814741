import type { QueueEntry } from '#api/overview/queue.ts'
import { cancelCells } from '../lists/cancel-cell.ts'
import { numberLink } from '../lists/deployment-link.ts'
import type { Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { runningSince } from '../parts/time.ts'
import { expectedText } from './expected-text.ts'

export async function runningTable(context: PageContext, running: QueueEntry[]): Promise<Html> {
  const cancel = await cancelCells(context, running)
  return table(
    'Deployments that run',
    ['Deployment', 'State', 'For', 'Ends', 'By', 'Action'],
    running.map((entry, at) => [
      numberLink(entry),
      stateMark(entry.state),
      runningSince(entry.stateSince),
      expectedText(entry.endsAt),
      entry.triggeredBy?.name ?? '',
      cancel[at]!,
    ]),
  )
}
