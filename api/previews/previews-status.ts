import { z } from 'zod'
import { PoolView } from './pool.ts'

/** The last comparison of the previews with what Fly has. */
export const SweepStatus = z.object({
  /** When the last one that ran to its end ended. Null: there was none yet. */
  at: z.string().nullable(),
  /** Apps on Fly that belonged to no preview any more, and were deleted. */
  orphans: z.array(z.string()),
  /** Ids of previews that another program had destroyed on Fly. */
  gone: z.array(z.string()),
  /** What failed in it, and is tried again by the next one. */
  failures: z.array(z.string()),
  /** Why the last one did not run to its end. */
  problem: z.string().nullable(),
})
export type SweepStatus = z.infer<typeof SweepStatus>

export const PreviewsStatus = z.object({
  /** How many there are, by state, without those that have ended. */
  states: z.record(z.string(), z.number()),
  /** Those that make no progress, and why. */
  stuck: z.array(
    z.object({ id: z.string(), state: z.string(), since: z.string(), why: z.string() }),
  ),
  sweep: SweepStatus,
  pools: z.array(PoolView).default([]),
})
export type PreviewsStatus = z.infer<typeof PreviewsStatus>
