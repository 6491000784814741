import { z } from 'zod'

/** The file system of the build cache, and whether the gateway accepts work with it. */
export const DiskStatus = z.object({
  ok: z.boolean(),
  detail: z.string(),
  freeBytes: z.number(),
  sizeBytes: z.number(),
})
export type DiskStatus = z.infer<typeof DiskStatus>
