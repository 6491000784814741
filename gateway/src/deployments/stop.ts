import type { CancelRequest, Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'

/** Why a deployment must stop: a cancel request or a newer deployment. Null: it may continue. */
export function stopReason({
  cancel,
  supersededBy,
}: Pick<Deployment, 'cancel' | 'supersededBy'>): Problem | null {
  if (cancel) return cancelled(cancel)
  return supersededBy === null ? null : superseded(supersededBy)
}

/** In a cancel request: the deployment's rollout stopped after failures. `why` says all of it. */
export const ownRollout = 'its rollout'

/** The problem of a deployment that somebody, or its rollout, cancelled. */
export function cancelled({ by, why }: Pick<CancelRequest, 'by' | 'why'>): Problem {
  if (by === ownRollout && why) return new Problem('cancelled', why)
  const who = by ? `by ${by}` : 'on request'
  return new Problem('cancelled', `Cancelled ${who}${why ? `: ${why}` : ''}.`)
}

/** The problem of a deployment that a newer one replaced. */
export const superseded = (by: string): Problem =>
  new Problem('superseded', `The newer deployment ${by} superseded this one.`, {
    facts: { supersededBy: by },
  })
