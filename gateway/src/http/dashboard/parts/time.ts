import { minuteOf } from '#api/text/minute-of.ts'
import { durationText } from './duration.ts'
import { html, type Html } from './html.ts'

export { durationText } from './duration.ts'

/** A time. The script shows it in the reader's own zone. `at`: ISO 8601, UTC. */
export const timeOf = (at: string): Html => html`<time datetime="${at}">${minuteOf(at)} UTC</time>`

/** A time span of the past that still runs. The script counts on. */
export const runningSince = (at: string, beforeMs = 0, now = Date.now()): Html =>
  html`<span data-since="${new Date(Date.parse(at) - beforeMs).toISOString()}"
    >${durationText(now - Date.parse(at) + beforeMs)}</span
  >`

/** How long something took. */
export const tookText = (from: string, to: string): string =>
  durationText(Date.parse(to) - Date.parse(from))
