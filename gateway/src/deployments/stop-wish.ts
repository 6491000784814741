import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { cancelled } from './cancelled.ts'

/** The end of a deployment whose place a newer one took. */
export const superseded = (by: string): Problem =>
  new Problem('superseded', `Deployment ${by} came later and took its place.`, { facts: { supersededBy: by } })

/** Why a deployment is to go no further, when somebody wished so. */
export function stopWish({ cancel, supersededBy }: Pick<Deployment, 'cancel' | 'supersededBy'>): Problem | null {
  if (cancel) return cancelled(cancel)
  return supersededBy === null ? null : superseded(supersededBy)
}
