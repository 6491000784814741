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
  /** An operator moved it to the front of the queue. */
  movedUp: z.boolean(),
  /**
   * When it starts, and when it ends, if all take as long as the last deployments of their apps. Null:
   * not known.
   */
  startsAt: z.string().nullable(),
  endsAt: z.string().nullable(),
})
export type QueueEntry = z.infer<typeof QueueEntry>

/** `used` null: the caller does not see all apps. */
const Slots = z.object({ limit: z.number(), used: z.number().nullable() })

/** What one team has of the queue. `buildLimit`: its quota of builds at once. Null: it has none. */
export const TeamShare = z.object({
  team: z.string(),
  building: z.number(),
  atMachines: z.number(),
  waiting: z.number(),
  buildLimit: z.number().nullable(),
})
export type TeamShare = z.infer<typeof TeamShare>

/** Nothing that waits starts. New deployments wait too. */
export const QueuePause = z.object({
  at: z.string(),
  by: z.string(),
  why: z.string().nullable(),
})
export type QueuePause = z.infer<typeof QueuePause>

/** `POST /v1/queue/pause?why=`. */
export const PauseRequest = z.object({
  why: z
    .string()
    .regex(/^[^\p{Cc}]{0,200}$/u, 'expected one line of at most 200 characters')
    .nullable()
    .transform((why) => why?.trim() || null),
})

/** `GET /v1/queue`: what runs, and what waits. */
export const Queue = z.object({
  /** Null: it is not paused. */
  pause: QueuePause.nullable(),
  /** How many may build, and how many may change machines, at once. */
  slots: z.object({ builds: Slots, deploys: Slots }),
  /** Of each team that has something here. Empty: the gateway has one team alone. */
  teams: z.array(TeamShare),
  /** Those that run first, then the oldest. */
  entries: z.array(QueueEntry),
  /** There are more: only the first 200 are listed. */
  isCut: z.boolean(),
})
export type Queue = z.infer<typeof Queue>

/** `POST` and `DELETE /v1/queue/pause`. */
export const PauseAnswer = Queue.pick({ pause: true })
export type PauseAnswer = z.infer<typeof PauseAnswer>
