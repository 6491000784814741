import { z } from 'zod'

/** How the volume of the gateway's machine grows. */
export const GrowthStatus = z.object({
  volume: z.string(),
  sizeGb: z.number(),
  /** `fly`: the mount has settings for it. `gateway`: by TARMAC_VOLUME_LIMIT_GB. */
  by: z.enum(['fly', 'gateway', 'nobody']),
  /** It grows when so much of it is used, in percent. */
  thresholdPercent: z.number(),
  /** The size at which it grows no more. Null: nothing lets it grow. */
  limitGb: z.number().nullable(),
  /** What an operator should do, in words. */
  warning: z.string().nullable(),
})
export type GrowthStatus = z.infer<typeof GrowthStatus>

/** The file system of the build cache, and whether the gateway accepts work with it. */
export const DiskStatus = z.object({
  ok: z.boolean(),
  detail: z.string(),
  freeBytes: z.number(),
  sizeBytes: z.number(),
  /** How the volume grows. Null: it is no volume of Fly’s. Absent: an older gateway. */
  growth: GrowthStatus.nullable().optional(),
})
export type DiskStatus = z.infer<typeof DiskStatus>
