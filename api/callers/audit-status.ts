import { z } from 'zod'

/**
 * `whole`: no entry was changed, removed or added by anybody but the gateway. `broken`: one was.
 * `cut`: the newest are missing. `headless`: the file with the newest number is or was missing, so
 * the newest may be missing too.
 */
export const TrailState = z.enum(['whole', 'broken', 'cut', 'headless'])
export type TrailState = z.infer<typeof TrailState>

/** How the audit trail was found at a check. */
export const TrailVerdict = z.object({
  state: TrailState,
  /** As sentences. */
  detail: z.string(),
  /** What is not wrong but good to know: restores, and entries of another volume. */
  notes: z.array(z.string()),
  entries: z.number(),
})
export type TrailVerdict = z.infer<typeof TrailVerdict>

/** The audit trail, and its last daily check. */
export const AuditStatus = z.object({
  /** Of the newest entry. Who keeps both elsewhere finds also what the gateway’s key can hide. */
  head: z.object({ number: z.number(), mac: z.string() }).nullable(),
  /** Null: not checked yet. */
  checkedAt: z.string().nullable(),
  verdict: TrailVerdict.nullable(),
})
export type AuditStatus = z.infer<typeof AuditStatus>
