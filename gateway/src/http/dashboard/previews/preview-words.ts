import { type Preview, type PreviewState, settledStates } from '#api/previews/preview.ts'
import type { LivingPreview, PreviewRequests } from '#api/previews/preview-stats.ts'
import { moneyText } from '#api/status/cost.ts'
import { sizeText } from '#api/status/machine.ts'
import type { PreviewAction } from '#api/previews/preview-calls.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import { durationText, timeOf } from '../parts/time.ts'

const moods: Record<PreviewState, Mood> = {
  starting: 'busy',
  ready: 'good',
  stopped: 'waiting',
  suspended: 'waiting',
  destroying: 'busy',
  destroyed: 'over',
  failed: 'bad',
}
export const previewMark = (state: PreviewState): Html => mark(moods[state], state)

/** An end that comes. The script counts down. */
export function endsIn(at: string, now = Date.now()): Html {
  const leftMs = Date.parse(at) - now
  return leftMs > 0
    ? html`in <span data-until="${at}">${durationText(leftMs)}</span>
        <span class="quiet">(${timeOf(at)})</span>`
    : html`now`
}

/** Why a button is of no use now. Null: it is. The command decides. */
export function uselessBecause(
  what: PreviewAction | 'extend' | 'destroy',
  { state }: Pick<Preview, 'state'>,
): string | null {
  const isSettled = settledStates.some((each) => each === state)
  if (state === 'starting')
    return what === 'extend' || what === 'destroy'
      ? null
      : 'It is starting. Wait until it is ready.'
  if (!isSettled) return `It is ${state}.`
  if (what === 'start' && state === 'ready') return 'It runs.'
  if (what === 'suspend' && state === 'stopped') return 'It is stopped: nothing is in its memory.'
  const after = { stop: 'stopped', suspend: 'suspended' } as Record<string, string>
  return after[what] === state ? `It is ${state} already.` : null
}

/** When it answered last. `known` null: Fly does not say. */
export function lastRequestText(known: PreviewRequests | null, id: string): Html {
  const found = known?.previews.find((each) => each.id === id)
  if (!known || !found) return html`<span class="quiet">not known</span>`
  return found.lastRequestAt === null
    ? html`<span class="quiet">none since ${timeOf(known.from)}</span>`
    : timeOf(found.lastRequestAt)
}

/** What its machines have. */
export const sizesText = (sizes: LivingPreview['sizes'] | undefined): string =>
  sizes ? [...new Set(sizes.map(sizeText))].join('; ') : 'not known'

export const costText = (
  { perHour }: Pick<LivingPreview, 'perHour'>,
  currency: string | null,
): string =>
  perHour !== null && currency !== null ? `${moneyText(perHour, currency)} an hour` : 'not known'
