import type { DiskHistory, DiskSample } from '#api/status/disk/disk-history.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { html, type Html } from '../parts/html.ts'
import { sizeText } from '../parts/size.ts'
import { timeOf } from '../parts/time.ts'
import { columnPicture, numbers } from '../pictures/column-picture.ts'

const hourMs = 3_600_000
const mostColumns = 84
/** How much time a column can stand for. The last is enough for 14 days. */
const spans = [hourMs / 6, hourMs, 4 * hourMs]

const kinds = [
  { name: 'build cache', look: 'phase-building' },
  { name: 'sources', look: 'phase-pushing' },
  { name: 'other', look: 'phase-pending' },
  { name: 'free', look: 'free' },
] as const

/** What was on the disk of the builder, oldest first: of each span the moment with the least free. */
export function diskHistoryPart({ samples }: DiskHistory): Html {
  const [first, last] = [samples[0], samples.at(-1)]
  if (!first || !last) return html`<p class="quiet">Nothing has been recorded yet.</p>`
  const slots = slotsOf(samples)
  const least = samples.reduce((a, b) => (b.freeBytes < a.freeBytes ? b : a))
  const largest = Math.max(...samples.map(({ cacheBytes }) => cacheBytes ?? 0))
  return html`${columnPicture({
    summary: `Since ${minuteOf(first.at)} UTC. At least ${sizeText(least.freeBytes)} of ${sizeText(last.sizeBytes)} were free. The build cache had ${sizeText(largest)} at most, and has ${sizeText(last.cacheBytes ?? 0)}.`,
    kinds,
    top: Math.max(...samples.map(({ sizeBytes }) => sizeBytes)),
    columns: slots.map((sample) => ({
      values: sample ? partsOf(sample) : [],
      name: sample ? `${minuteOf(sample.at)} UTC` : 'not recorded',
    })),
    ends: slots.length > 1 ? [`${minuteOf(first.at)} UTC`, 'now'] : undefined,
    text: sizeText,
  })}
  ${numbers(
    'disk-history',
    'What was on the disk',
    ['When', ...kinds.map(({ name }) => name)],
    slots
      .filter((sample) => sample !== null)
      .toReversed()
      .map((sample) => [
        timeOf(sample.at),
        ...partsOf(sample).map((bytes, at) =>
          at === 0 && sample.cacheBytes === null ? 'not known' : sizeText(bytes),
        ),
      ]),
  )}`
}

/** In the order of `kinds`. The rest is of the gateway itself, of the system, and reserved. */
function partsOf({ sizeBytes, freeBytes, cacheBytes, sourceBytes }: DiskSample): number[] {
  const used = sizeBytes - freeBytes
  const cache = Math.min(used, cacheBytes ?? 0)
  const sources = Math.min(used - cache, sourceBytes)
  return [cache, sources, used - cache - sources, freeBytes]
}

/** Null: the gateway did not run then. */
function slotsOf(samples: readonly DiskSample[]): (DiskSample | null)[] {
  const times = samples.map(({ at }) => Date.parse(at))
  const [from, to] = [times[0]!, times.at(-1)!]
  const span = spans.find((each) => (to - from) / each < mostColumns) ?? spans.at(-1)!
  const slots: (DiskSample | null)[] = Array.from(
    { length: Math.min(mostColumns + 1, Math.floor((to - from) / span) + 1) },
    () => null,
  )
  for (const [index, sample] of samples.entries()) {
    const at = Math.floor((times[index]! - from) / span)
    const known = slots[at]
    if (known === undefined) continue // older than the picture
    if (known === null || sample.freeBytes < known.freeBytes) slots[at] = sample
  }
  return slots
}
