import { z } from 'zod'

/** What `POST`, `GET` and `DELETE /v1/drain` answer. */
export const DrainFacts = z.object({
  /** `working`: no drain. `draining`: something runs. `drained`: nothing runs. */
  state: z.enum(['working', 'draining', 'drained']),
  /** Since when no new work is taken. */
  since: z.string().nullable(),
  /** When deployments that still run are stopped, to go on after the drain. */
  stopsAt: z.string().nullable(),
  /** When the gateway takes work again if nobody has replaced it. */
  endsAt: z.string().nullable(),
  /** Deployments that run. */
  running: z.number(),
  /** Uploads that began before the drain. */
  uploads: z.number(),
  /** Deployments in the queue. They wait for the end of the drain, or for the next start. */
  queued: z.number(),
})
export type DrainFacts = z.infer<typeof DrainFacts>

/** How long a drain waits for what runs, in seconds. */
export const drainLimits = { usual: 600, most: 86_400 }
