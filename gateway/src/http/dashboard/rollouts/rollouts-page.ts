import type { RolloutPage } from '#api/rollout.ts'
import { addresses, addressOf } from '../parts/addresses.ts'
import { cursorOf } from '../lists/cursor.ts'
import { html, type Html } from '../parts/html.ts'
import { firstCommand } from '../lists/first-command.ts'
import type { Page } from '../parts/page.ts'
import { section, table } from '../parts/tables.ts'
import { runningSince, timeOf, tookText } from '../parts/time.ts'
import { rolloutMark } from './rollout-mark.ts'

const seconds = 10
const rolloutsShown = 20

/** Rollouts: one image for many targets. */
export const rolloutsPage: Page = {
  path: addresses.rollouts,
  section: 'rollouts',
  async show({ commands, caller, query, gateway }) {
    const before = cursorOf(query, /^[\da-f-]{1,50}$/)
    const page = await commands.rollouts(caller, { limit: rolloutsShown, before })
    return {
      title: 'Rollouts',
      live: { seconds },
      body: html`<h1>Rollouts</h1>
        ${section('rollouts', 'Newest first', page.rollouts.length > 0 ? rolloutsTable(page) : noRollouts(gateway))}`,
    }
  },
}

const noRollouts = (gateway: string): Html =>
  firstCommand(
    'There are none. A rollout deploys one image to many apps or owners, and stops after failures:',
    gateway,
    `curl -H "Authorization: Bearer $TARMAC_TOKEN" $TARMAC_GATEWAY/v1/rollouts --json \\
  '{"source": {"app": "my-app", "release": 1}, "targets": [{"app": "app-a"}, {"app": "app-b"}]}'`,
  )

const rolloutsTable = ({ rollouts, next }: RolloutPage): Html =>
  html`${table(
    'Rollouts, newest first',
    ['Rollout', 'State', 'Targets', 'Made', 'Took', 'By'],
    rollouts.map(({ id, createdAt, endedAt, problem, targets, triggeredBy }) => [
      html`<a href="${addressOf('rollout', { id })}">${id}</a>`,
      rolloutMark({ endedAt, problem }),
      targets,
      timeOf(createdAt),
      endedAt === null ? runningSince(createdAt) : tookText(createdAt, endedAt),
      triggeredBy?.name ?? '',
    ]),
  )}${next && html`<p><a href="${addressOf('rollouts', {}, { cursor: next })}">Older rollouts</a></p>`}`
