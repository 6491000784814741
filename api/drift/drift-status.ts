import { z } from 'zod'

/** The daily look at what Fly has of all apps with releases. */
export const DriftStatus = z.object({
  /** The end of the last complete look. Null: there was none yet. */
  checkedAt: z.string().nullable(),
  running: z.boolean(),
  /** How many apps the gateway has looked at. */
  looked: z.number(),
  /** Apps with drift: the first 100 by name. */
  apps: z.array(z.object({ app: z.string(), findings: z.number(), since: z.string() })),
  /** How many apps have drift. */
  drifted: z.number(),
  /** Why the last look did not come to its end. */
  problem: z.string().nullable(),
})
export type DriftStatus = z.infer<typeof DriftStatus>
