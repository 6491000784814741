import { z } from 'zod'
import { Caller } from './caller.ts'

const facts = z.record(z.string(), z.unknown()).nullable()

/**
 * One call of a command that changes something, or one that was refused. Times are ISO 8601, UTC. A
 * secret's value is in none of the fields.
 */
export const AuditEntry = z.object({
  /** Order in the trail. A call has two entries: `began`, and the one at its end, which is shown. */
  number: z.number(),
  at: z.string(),
  /** When it began. Null: it was refused before, or is not a call. */
  beganAt: z.string().nullable(),
  /** The command, such as `submit`. `audit.segment` and `audit.pruned` are of the trail itself. */
  command: z.string(),
  caller: Caller.extend({
    /** The id of the token that proved it. Null: no stored token. */
    tokenId: z.string().nullable(),
    /** The address that the request came from. Null: the gateway itself. */
    address: z.string().nullable(),
  }),
  targets: z.array(z.object({ app: z.string(), owner: z.string().nullable().optional() })),
  /** What was asked, beside the targets. */
  asked: facts,
  /** What changed: the fields that differ. */
  before: facts,
  after: facts,
  /**
   * `ok`, or the code of the problem. `running`: it has not ended. `unknown`: the gateway ended
   * before it could record the end; the call may have had its effect.
   */
  result: z.string(),
  /** The id of what it made. */
  made: z.string().nullable(),
})
export type AuditEntry = z.infer<typeof AuditEntry>

/** `GET /v1/audit`: newest first; `next` is the cursor of the next page. */
export const AuditPage = z.object({
  entries: z.array(AuditEntry),
  next: z.string().nullable(),
})
export type AuditPage = z.infer<typeof AuditPage>

/** Which entries to list. Absent: all. */
export type AuditFilter = {
  /** ISO 8601, UTC, both included. */
  from?: string | undefined
  to?: string | undefined
  /** A caller's name, or a prefix that ends with `*`. */
  caller?: string | undefined
  command?: string | undefined
  app?: string | undefined
  /** `ok`, `failed` (all but ok and running), or a result. */
  result?: string | undefined
}
