import type { Queue, QueueEntry } from '#api/overview/queue.ts'
import { waitsFor } from '#api/text/event-words.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { cancelCells } from '../lists/cancel-cell.ts'
import { numberLink } from '../lists/deployment-link.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import { stateMark } from '../parts/mark.ts'
import type { Page, PageContext } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { facts, section, table } from '../parts/tables.ts'
import { runningSince } from '../parts/time.ts'
import { drainPart } from './drain-part.ts'
import { waitsPart } from './waits-part.ts'

const seconds = { busy: 3, quiet: 15 }
const waitsShown = 60

/** What runs, what waits for what and since when, and how many may run at once. */
export const queuePage: Page = {
  path: addresses.queue,
  section: 'queue',
  assets: ['boards.css', 'pictures.css'],
  async show(context) {
    const { commands, caller, gateway, isRefresh } = context
    const queue = await commands.overview.queue(caller)
    const running = queue.entries.filter(({ state }) => state !== 'pending')
    const waiting = queue.entries.filter(({ state }) => state === 'pending')
    return {
      title: 'Queue',
      live: { seconds: queue.entries.length > 0 ? seconds.busy : seconds.quiet },
      body: html`<h1>Queue</h1>
        ${section('running', 'Running', running.length > 0 ? await runningTable(context, running) : html`<p>Nothing runs.</p>`)}
        ${section(
          'waiting',
          'Waiting',
          waiting.length > 0
            ? await waitingTable(context, waiting, queue.isCut)
            : firstCommand(
                'Nothing waits. To deploy, go to a folder with a program, and type:',
                gateway,
                'tarmac deploy my-app',
              ),
        )}
        ${section('slots', 'Slots', slotsPart(queue.slots))}
        ${
          // What is over does not change: the script need not ask for it again and again.
          !isRefresh &&
          section(
            'waits',
            'How long deployments waited',
            await partOf(
              commands.overview.deployments(caller, {}, { limit: waitsShown, before: null }),
              ({ deployments }) => waitsPart(deployments),
            ),
          )
        }
        ${section(
          'drain',
          'Drain',
          await partOf(commands.drain.status(caller), (drain) => drainPart(context, drain)),
        )}`,
    }
  },
}

async function runningTable(context: PageContext, running: QueueEntry[]): Promise<Html> {
  const cancel = await cancelCells(context, running)
  return table(
    'Deployments that run',
    ['Deployment', 'State', 'For', 'By', 'Action'],
    running.map((entry, at) => [
      numberLink(entry),
      stateMark(entry.state),
      runningSince(entry.stateSince),
      entry.triggeredBy?.name ?? '',
      cancel[at]!,
    ]),
  )
}

async function waitingTable(
  context: PageContext,
  waiting: QueueEntry[],
  isCut: boolean,
): Promise<Html> {
  const cancel = await cancelCells(context, waiting)
  return html`${table(
    'Deployments that wait, oldest first',
    ['Deployment', 'Waits for', 'Place', 'For', 'By', 'Action'],
    waiting.map((entry, at) => [
      numberLink(entry),
      reason(entry),
      entry.waiting?.place ?? '',
      runningSince(entry.stateSince),
      entry.triggeredBy?.name ?? '',
      cancel[at]!,
    ]),
  )}
  ${isCut && html`<p class="quiet">There are more, which are not listed here.</p>`}`
}

function reason({ waiting }: QueueEntry): Html {
  if (!waiting) return html`nothing: it starts now`
  if (waiting.behind === null) return html`${waitsFor({ type: 'waiting', ...waiting })}`
  return html`<a href="${addressOf('deployment', { id: waiting.behind })}"
      >the deployment before it</a
    >
    in its lane`
}

const slotsPart = ({ builds, deploys }: Queue['slots']): Html =>
  html`${facts([
      ['Builds', usedOf(builds)],
      ['At machines', usedOf(deploys)],
    ])}
    <p class="quiet">
      So many may build, and change machines, at once. Deployments of one app and owner form a lane:
      they run one after the other.
    </p>`

const usedOf = ({ used, limit }: Queue['slots']['builds']): string =>
  used === null ? `at most ${limit} at once` : `${used} of ${limit} in use`
