import { z } from 'zod'

/** Files of one kind of change. `sizeBytes`: as they are now, or as they were if they are gone. */
const Count = z.object({ files: z.number(), sizeBytes: z.number() })

/** A file or a link of a source. Sizes in bytes; null: it is not in that source. */
export const FileChange = z.object({
  path: z.string(),
  change: z.enum(['added', 'changed', 'removed']),
  beforeBytes: z.number().nullable(),
  afterBytes: z.number().nullable(),
})
export type FileChange = z.infer<typeof FileChange>

/**
 * `GET /v1/deployments/{id}/changes`: how the source of a deployment differs from the one that was
 * live for its target before. `since`: the deployment that made that one live; null: there is none,
 * and all files are new.
 */
export const SourceChanges = z.object({
  since: z.object({ id: z.string(), number: z.number() }).nullable(),
  added: Count,
  changed: Count,
  removed: Count,
  /** By path; the first 1000. The counts are of all. */
  files: z.array(FileChange),
})
export type SourceChanges = z.infer<typeof SourceChanges>
