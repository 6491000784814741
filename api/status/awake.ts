import { z } from 'zod'

/** The part `awake` of `GET /v1/status`: what keeps the gateway awake, and when it stops itself. */
export const AwakeStatus = z.object({
  /** Only what there is now. */
  holds: z.array(z.object({ name: z.string(), count: z.int() })),
  /** Null: something is active now. */
  idleSince: z.string().nullable(),
  /** The gateway stops when it has been idle for so long. Null: it never does. */
  idleStopSeconds: z.number().nullable(),
})
export type AwakeStatus = z.infer<typeof AwakeStatus>
