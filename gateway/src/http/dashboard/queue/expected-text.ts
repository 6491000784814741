import { html, type Html } from '../parts/html.ts'
import { durationText } from '../parts/time.ts'

const exactMs = 10_000

/** A time that is only expected: `in about 2 min 10 s`. */
export function expectedText(at: string | null, now = Date.now()): Html {
  if (at === null) return html`<span class="quiet">not known</span>`
  const leftMs = Date.parse(at) - now
  if (leftMs < exactMs) return html`any moment`
  return html`in about ${durationText(Math.round(leftMs / exactMs) * exactMs)}`
}
