import { z } from 'zod'

/**
 * Why it was removed. `unused`: no build used it for the days of the setting, or no record needs it any
 * more. `app-limit`, `team-share`: the app or team had more than its part of the cache. `disk`: the disk
 * was short. `asked`: a caller dropped the cache of `app`. `daemon`: by the build daemon's own rules, 1 MiB
 * or more; the gateway saw it missing. `old`: its time was over.
 */
export const RemovalReason = z.enum([
  'unused',
  'app-limit',
  'team-share',
  'disk',
  'asked',
  'daemon',
  'old',
])
export type RemovalReason = z.infer<typeof RemovalReason>

/** Something that the gateway, or its build daemon, removed from the disk. */
export const Removal = z.object({
  /** ISO 8601, UTC. */
  at: z.string(),
  what: z.enum(['cache', 'sources', 'uploads', 'logs']),
  why: RemovalReason,
  /** The one app that it belonged to, where it is known. */
  app: z.string().nullable(),
  /** Parts of the cache, sources, uploads, or logs of deployments. */
  count: z.number(),
  /** Null: not measured. */
  bytes: z.number().nullable(),
})
export type Removal = z.infer<typeof Removal>

/** `GET /v1/status/removals`: newest first, of 14 days, at most 500. */
export const Removals = z.object({ removals: z.array(Removal) })
export type Removals = z.infer<typeof Removals>
