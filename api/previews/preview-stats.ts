import { z } from 'zod'
import { AppName, OwnerName } from '../app.ts'
import { GuestSize } from '../status/machine.ts'
import { Preview, PreviewState } from './preview.ts'

/** `stuck`: why it makes no progress. Null: it does, or needs none. */
export const LivingPreview = Preview.extend({
  team: z.string(),
  /** What its machines cost in an hour in which all of them run. Null: not known. */
  perHour: z.number().nullable(),
  /** What each process group of it has. Null: it has no release yet, or one that does not say it. */
  sizes: z.array(GuestSize).nullable(),
  stuck: z.object({ since: z.string(), why: z.string() }).nullable(),
})
export type LivingPreview = z.infer<typeof LivingPreview>

/** `GET /v1/previews/stats`: of which previews. */
export const StatsFilter = z.strictObject({ app: AppName.optional(), owner: OwnerName.optional() })
export type StatsFilter = z.infer<typeof StatsFilter>

const group = {
  count: z.number(),
  oldestSeconds: z.number(),
  perHour: z.number().nullable(),
}

/** What there is of previews that have not ended. Amounts are in `currency`; null: no price table. */
export const PreviewStats = z.object({
  at: z.string(),
  count: z.number(),
  states: z.partialRecord(PreviewState, z.number()),
  ageSeconds: z.object({ newest: z.number(), median: z.number(), oldest: z.number() }).nullable(),
  oldest: z.string().nullable(),
  currency: z.string().nullable(),
  perHour: z.number().nullable(),
  /** Previews whose price is not known, and not in `perHour`. */
  unpriced: z.number(),
  owners: z.array(z.object({ app: z.string(), owner: z.string(), ...group })),
  teams: z.array(z.object({ team: z.string(), ...group })),
  stuck: z.array(
    z.object({
      id: z.string(),
      app: z.string(),
      owner: z.string(),
      state: PreviewState,
      since: z.string(),
      why: z.string(),
    }),
  ),
})
export type PreviewStats = z.infer<typeof PreviewStats>

/**
 * `GET /v1/previews/requests`: when living previews answered last. Fly's proxy counts it: a request on
 * the private network is not in it, and one of the last minutes may be missing.
 */
export const PreviewRequests = z.object({
  /** Null in `lastRequestAt`: none since then. */
  from: z.string(),
  /** The times are exact to so many seconds. */
  stepSeconds: z.number(),
  previews: z.array(
    z.object({
      id: z.string(),
      app: z.string(),
      owner: z.string(),
      lastRequestAt: z.string().nullable(),
    }),
  ),
  /** Older previews, which are not in the answer. */
  omitted: z.number(),
})
export type PreviewRequests = z.infer<typeof PreviewRequests>
