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

/** The problem of a deployment that somebody cancelled. */
export const cancelled = ({ by, why }: Pick<CancelRequest, 'by' | 'why'>): Problem =>
  new Problem('cancelled', `Cancelled ${by ? `by ${by}` : 'on request'}${why ? `: ${why}` : ''}.`)

/** The problem of a deployment that a newer one replaced. */
export const superseded = (by: string): Problem =>
  new Problem('superseded', `The newer deployment ${by} superseded this one.`, {
    facts: { supersededBy: by },
  })
