import { z } from 'zod'
import { Caller } from '../callers/caller.ts'
import { DeploymentState } from '../deployment.ts'
import { Waiting } from '../event.ts'

/** A deployment that has not ended. Times are ISO 8601, UTC. */
export const QueueEntry = z.object({
  id: z.string(),
  number: z.number(),
  app: z.string(),
  owner: z.string().nullable(),
  state: DeploymentState,
  stateSince: z.string(),
  createdAt: z.string(),
  triggeredBy: Caller.nullable(),
  /** What it waits for, and its place there. Null: it runs, or starts now. */
  waiting: Waiting.omit({ type: true }).nullable(),
})
export type QueueEntry = z.infer<typeof QueueEntry>

/** `used` null: the caller does not see all apps. */
const Slots = z.object({ limit: z.number(), used: z.number().nullable() })

/** `GET /v1/queue`: what runs, and what waits. */
export const Queue = z.object({
  /** How many may build, and how many may change machines, at once. */
  slots: z.object({ builds: Slots, deploys: Slots }),
  /** Those that run first, then the oldest. */
  entries: z.array(QueueEntry),
  /** There are more: only the first 200 are listed. */
  isCut: z.boolean(),
})
export type Queue = z.infer<typeof Queue>
