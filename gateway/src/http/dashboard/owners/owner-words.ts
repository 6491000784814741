import type { Owner, OwnerState, OwnerSummary } from '#api/owners/owner.ts'
import { moneyText } from '#api/status/cost.ts'
import type { Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'

const moods: Record<OwnerState, Mood> = {
  running: 'good',
  idle: 'good',
  stopped: 'waiting',
  suspended: 'waiting',
  crashed: 'bad',
  missing: 'warning',
  deploying: 'busy',
  kept: 'over',
}
export const ownerMark = (state: OwnerState): Html => mark(moods[state], state)

/** What its machines cost while all of them run. Null: no price is known. */
export const priceOf = ({ perHour }: OwnerSummary, currency: string | null): string | null =>
  perHour === null || currency === null ? null : moneyText(perHour, currency)

/** Why its machines cannot do this now. Null: they can. The command decides. */
export function uselessBecause(
  action: 'stop' | 'suspend' | 'start',
  { state, machines }: Pick<Owner, 'state' | 'machines'>,
): string | null {
  if (state === 'deploying') return 'A deployment changes its machines now.'
  if (machines.length === 0) return 'It has no machines.'
  if (action === 'stop' && state === 'stopped') return 'It is stopped already.'
  if (action === 'suspend' && state === 'suspended') return 'It is suspended already.'
  if (action === 'suspend' && state === 'stopped') return 'It is stopped: nothing is in its memory.'
  if (action === 'start' && state === 'running') return 'It runs.'
  return null
}
