import { z } from 'zod'

/** The last test of the mirror. `anonymous` and `withLogin`: the HTTP status of `GET /v2/`. */
export const MirrorProbe = z.object({
  at: z.string(),
  ok: z.boolean(),
  /** What was found, as a sentence. */
  detail: z.string(),
  anonymous: z.number().nullable(),
  withLogin: z.number().nullable(),
  /** Milliseconds of the push, and until the registry had a copy. Null: not tried. */
  pushMs: z.number().nullable(),
  copyMs: z.number().nullable(),
})
export type MirrorProbe = z.infer<typeof MirrorProbe>

/** How images reach the registry. Counts are since the gateway's start; times are ISO 8601, UTC. */
export const MirrorStatus = z.object({
  /** `off`: not set up. `down`: set up, and not used now. `up`: pushes go through it. */
  state: z.enum(['off', 'down', 'up']),
  /** Why it is in this state, as a sentence. */
  detail: z.string(),
  url: z.string().nullable(),
  lastProbe: MirrorProbe.nullable(),
  nextProbeAt: z.string().nullable(),
  /**
   * Pushes by outcome. `fallback`: the mirror failed, so the push was started again to the registry.
   * `registry`: the push went to the registry at once.
   */
  pushes: z.object({ mirror: z.number(), fallback: z.number(), registry: z.number() }),
  /** After `limit` failed pushes in a row, the mirror is `down` for a while. */
  breaker: z.object({ failures: z.number(), limit: z.number() }),
})
export type MirrorStatus = z.infer<typeof MirrorStatus>
