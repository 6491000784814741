import type { CancelRequest, Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'

/** Why a deployment is to go no further, when somebody wished so. */
export function stopReason({
  cancel,
  supersededBy,
}: Pick<Deployment, 'cancel' | 'supersededBy'>): Problem | null {
  if (cancel) return cancelled(cancel)
  return supersededBy === null ? null : superseded(supersededBy)
}

/** The end that somebody asked for, in words. */
export const cancelled = ({ by, why }: Pick<CancelRequest, 'by' | 'why'>): Problem =>
  new Problem('cancelled', `Cancelled ${by ? `by ${by}` : 'on request'}${why ? `: ${why}` : ''}.`)

/** The end of a deployment whose place a newer one took. */
export const superseded = (by: string): Problem =>
  new Problem('superseded', `Deployment ${by} came later and took its place.`, {
    facts: { supersededBy: by },
  })
