import type { Queue } from '#api/overview/queue.ts'
import { addresses } from '../parts/addresses.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import type { Page } from '../parts/page.ts'
import { partOf } from '../parts/part-of.ts'
import { facts, section } from '../parts/tables.ts'
import { drainPart } from './drain-part.ts'
import { pausedNote, pausePart } from './pause-part.ts'
import { runningTable } from './running-table.ts'
import { teamsPart } from './teams-part.ts'
import { waitingTable } from './waiting-table.ts'
import { waitsPart } from './waits-part.ts'

const seconds = { busy: 3, quiet: 15 }
const waitsShown = 60

/** What runs, what waits for what and until when, and how many may run at once. */
export const queuePage: Page = {
  path: addresses.queue,
  section: 'queue',
  assets: ['boards.css', 'pictures.css'],
  async show(context) {
    const { commands, caller, gateway, isRefresh } = context
    const queue = await commands.overview.queue(caller)
    const running = queue.entries.filter(({ state }) => state !== 'pending')
    const waiting = queue.entries.length - running.length
    return {
      title: 'Queue',
      live: { seconds: queue.entries.length > 0 ? seconds.busy : seconds.quiet },
      body: html`<h1>Queue</h1>
        ${pausedNote(queue.pause)}
        ${section('running', 'Running', running.length > 0 ? await runningTable(context, running) : html`<p>Nothing runs.</p>`)}
        ${section(
          'waiting',
          'Waiting',
          waiting > 0
            ? await waitingTable(context, queue)
            : firstCommand(
                'Nothing waits. To deploy, go to a folder with a program, and type:',
                gateway,
                'tarmac deploy my-app',
              ),
        )}
        ${section('slots', 'Slots', slotsPart(queue.slots))}
        ${queue.teams.length > 0 && section('teams', 'Shares of teams', teamsPart(queue))}
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
        ${section('pause', 'Pause', await pausePart(context, queue.pause))}
        ${section(
          'drain',
          'Drain',
          await partOf(commands.drain.status(caller), (drain) => drainPart(context, drain)),
        )}`,
    }
  },
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
