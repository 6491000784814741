import { z } from 'zod'

/** What a builder holds that a backup lacks. */
export const NewerRecords = z.object({
  /** Deployments that the backup does not know, and those that went on after it. */
  deployments: z.number(),
  /** Build secrets that were stored or changed after it. */
  secrets: z.number(),
  /** The newest of these deployments. */
  newest: z.object({ id: z.string(), app: z.string(), at: z.string() }).nullable(),
})
export type NewerRecords = z.infer<typeof NewerRecords>

/** What `PUT /v1/backup` answers. The gateway restarts with the restored records after it. */
export const RestoreFacts = z.object({
  /** Deployments in the restored records. */
  deployments: z.number(),
  /** What the earlier records held besides. They are kept on the volume. */
  newer: NewerRecords.nullable(),
})
export type RestoreFacts = z.infer<typeof RestoreFacts>
