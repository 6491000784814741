import { z } from 'zod'

/** The gateway's use of Fly's rate limits since it started: so many calls of a kind a second. */
export const FlyStatus = z.object({
  calls: z.number(),
  /** Calls that had to wait for their turn. */
  delayed: z.number(),
  /** How long they waited together. */
  delayedMs: z.number(),
  /** Calls that wait now. */
  waiting: z.number(),
  /** Answers of Fly that a limit is reached. */
  refused: z.number(),
})
export type FlyStatus = z.infer<typeof FlyStatus>
