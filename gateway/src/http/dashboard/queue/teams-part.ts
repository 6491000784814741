import type { Queue } from '#api/overview/queue.ts'
import { addressOf } from '../parts/addresses.ts'
import { html, type Html } from '../parts/html.ts'
import { table } from '../parts/tables.ts'

/** Who has what of the slots. */
export const teamsPart = ({ teams, slots }: Queue): Html =>
  html`${table(
      'Shares of teams',
      ['Team', 'Build now', 'Of the build slots', 'May build at once', 'At machines', 'Wait'],
      teams.map(({ team, building, buildLimit, atMachines, waiting }) => [
        html`<a href="${addressOf('team', { team })}">${team}</a>`,
        building,
        `${Math.round((100 * building) / slots.builds.limit)} %`,
        buildLimit ?? 'no limit',
        atMachines,
        waiting,
      ]),
    )}
    <p class="quiet">
      The team with the fewest builds gets the next free slot, and within a team the app with the
      fewest.
    </p>`
