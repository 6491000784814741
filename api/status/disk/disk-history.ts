import { z } from 'zod'

/**
 * What was on the file system of the build cache at one time, in bytes. The rest of what is not free
 * is the gateway's own: records, logs, programs, and space that is reserved.
 */
export const DiskSample = z.object({
  /** ISO 8601, UTC. */
  at: z.string(),
  sizeBytes: z.number(),
  freeBytes: z.number(),
  /** The build cache, with base images and layers. Null: the build daemon did not answer. */
  cacheBytes: z.number().nullable(),
  /** The sizes of the sources that are kept. Files that they share on the disk count in each. */
  sourceBytes: z.number(),
})
export type DiskSample = z.infer<typeof DiskSample>

/** `GET /v1/status/disk`: oldest first, of 14 days at most. None is of a time when the gateway did not run. */
export const DiskHistory = z.object({ everySeconds: z.number(), samples: z.array(DiskSample) })
export type DiskHistory = z.infer<typeof DiskHistory>
