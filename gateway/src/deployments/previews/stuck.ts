import type { Deployment } from '#api/deployment.ts'
import type { Preview } from '#api/previews/preview.ts'

/** A preview makes no progress if nothing of it has changed for so long. */
const stuckMs = { starting: 10 * 60_000, destroying: 5 * 60_000 }

export type Stuck = { since: string; why: string }

/**
 * Why a preview makes no progress, and since when. Null: it does, or need not. Its age alone says
 * nothing: a build may be long. `deployment`: the one that starts it.
 */
export function stuckOf(
  { state, stateSince, problem }: Preview,
  deployment: Pick<Deployment, 'state' | 'updatedAt'> | null,
  nowMs: number,
): Stuck | null {
  if (state !== 'starting' && state !== 'destroying') return null
  const changedAt = state === 'starting' ? (deployment?.updatedAt ?? stateSince) : stateSince
  if (nowMs - Date.parse(changedAt) < stuckMs[state]) return null
  const why =
    state === 'destroying'
      ? (problem?.detail ?? 'Fly has not deleted its app yet')
      : `its deployment is ${deployment?.state ?? 'unknown'} and makes no progress`
  return { since: changedAt, why }
}
