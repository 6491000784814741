import type { FlyStatus } from '#api/machines/fly-status.ts'
import { html, type Html } from '../parts/html.ts'
import { percentOf } from '../parts/percent.ts'
import { facts } from '../parts/tables.ts'
import { durationText, timeOf } from '../parts/time.ts'

/** How much of Fly's limits of calls the gateway needs. */
export const flyPart = (
  { calls, delayed, delayedMs, waiting, refused }: FlyStatus,
  since: string,
  now = Date.now(),
): Html => {
  const minutes = Math.max(1, (now - Date.parse(since)) / 60_000)
  return html`${facts([
      ['Calls', html`${calls} <span class="quiet">since ${timeOf(since)}</span>`],
      ['A minute', (calls / minutes).toFixed(1)],
      [
        'Waited',
        delayed === 0
          ? 'none'
          : `${delayed} (${percentOf(delayed, calls)}), ${durationText(delayedMs)} in all`,
      ],
      ['Wait now', waiting],
      ['Refused by Fly', refused],
    ])}
    <p class="quiet">
      Fly takes one change a second of each kind and machine, and five reads. The gateway lets a
      call wait that would be more.
    </p>`
}
