import type { Rollout } from '#api/rollout.ts'
import type { Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'

/** What became of a rollout as a whole. Its targets say more. */
export function rolloutMark({ endedAt, problem }: Pick<Rollout, 'endedAt' | 'problem'>): Html {
  if (problem?.code === 'cancelled') return mark('over', 'cancelled')
  if (problem) return mark('bad', endedAt === null ? 'stopping' : 'stopped')
  return endedAt === null ? mark('busy', 'runs') : mark('good', 'ended')
}
