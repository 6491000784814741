import { z } from 'zod'
import { ProblemBody } from '../problem/body.ts'

/**
 * What a change made of the targets of an app: new deployments of their newest releases. `refused`:
 * targets that got none, and why. `notes`: sentences for people.
 */
export const ReleasedAgain = z.object({
  deployments: z.array(z.object({ id: z.string(), owner: z.string().nullable() })),
  refused: z.array(z.object({ owner: z.string().nullable(), problem: ProblemBody })),
  notes: z.array(z.string()),
})
export type ReleasedAgain = z.infer<typeof ReleasedAgain>
