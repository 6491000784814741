import { Problem } from '#api/problem.ts'

/**
 * Throws unless a deploy link that made `usedBy` (null: none yet) may be answered with `made`, the
 * deployment that the idempotency key of its request made (null: none). So a retry gets the same
 * deployment, and anything else is a replay.
 */
export function assertLinkFree(usedBy: string | null, made: string | null): void {
  if (usedBy === made) return
  if (usedBy === null)
    throw new Problem(
      'idempotency-mismatch',
      'The Idempotency-Key was used by another caller; choose a new one.',
    )
  throw new Problem(
    'token-used',
    `This deploy link has made its one deployment, ${usedBy}. Read that one with it, or ask for a new link.`,
    { facts: { deployment: usedBy } },
  )
}
