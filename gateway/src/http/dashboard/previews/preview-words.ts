import { type Preview, type PreviewState, settledStates } from '#api/previews/preview.ts'
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

/** An end that comes. */
export function endsIn(at: string, now = Date.now()): Html {
  const leftMs = Date.parse(at) - now
  return leftMs > 0
    ? html`in ${durationText(leftMs)} <span class="quiet">(${timeOf(at)})</span>`
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
