import { minuteOf } from '#api/text/minute-of.ts'
import { html, type Html } from './html.ts'

/** A time. The script shows it in the reader's own zone. `at`: ISO 8601, UTC. */
export const timeOf = (at: string): Html => html`<time datetime="${at}">${minuteOf(at)} UTC</time>`

/** A time span of the past that still runs. The script counts on. */
export const runningSince = (at: string, beforeMs = 0, now = Date.now()): Html =>
  html`<span data-since="${new Date(Date.parse(at) - beforeMs).toISOString()}"
    >${durationText(now - Date.parse(at) + beforeMs)}</span
  >`

/** `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`. The page's script has the same. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** How long something took. */
export const tookText = (from: string, to: string): string =>
  durationText(Date.parse(to) - Date.parse(from))
