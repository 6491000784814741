import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { AuditEntry } from '#api/callers/audit.ts'

/** A row of the table of the audit trail. */
export const ChainRow = z.object({
  number: z.number(),
  at: z.string(),
  key_id: z.string(),
  body: z.string(),
  mac: z.string(),
})
export type ChainRow = z.infer<typeof ChainRow>

/** The newest entry: its number and code. */
export const Head = z.object({ number: z.number(), mac: z.string() })
export type Head = z.infer<typeof Head>

const Call = AuditEntry.omit({ number: true, at: true })
/**
 * The JSON of a row. `began` and `ended` are the two entries of a call; `opened`: the number of the
 * first. A `segment` begins at the first start of a gateway, after a restore, and where entries are
 * missing. `pruned`: the retention removed the older ones; `last`: the newest of these.
 */
export const Body = z.discriminatedUnion('kind', [
  Call.extend({ kind: z.literal('began') }),
  Call.extend({ kind: z.literal('ended'), opened: z.number().nullable() }),
  Call.extend({
    kind: z.literal('segment'),
    why: z.enum(['first', 'restored', 'cut', 'headless']),
    /** The newest entry before it in the table. */
    last: Head.nullable(),
    /** The first of the entries up to it that another volume's key made. Null: there are none. */
    foreign: z.number().nullable(),
  }),
  Call.extend({ kind: z.literal('pruned'), last: Head }),
])
export type Body = z.infer<typeof Body>

/** What makes and checks the codes: derived from the volume's key, which is not in the records. */
export class ChainKey {
  readonly #key: Uint8Array
  readonly id: string

  constructor(volumeKey: Uint8Array) {
    this.#key = createHmac('sha256', volumeKey).update('tarmac audit trail').digest()
    this.id = this.#code('key id').slice(0, 12)
  }

  /** The code of a row after one with the code `before` ('' for the first row of all). */
  codeOf(before: string, { number, at, body }: Pick<ChainRow, 'number' | 'at' | 'body'>): string {
    return this.#code(JSON.stringify([before, number, at, this.id, body]))
  }

  isCode(row: ChainRow, before: string): boolean {
    return isSame(row.mac, this.codeOf(before, row))
  }

  /** The code of the head, as its file has it. */
  sealOf({ number, mac }: Head): string {
    return this.#code(JSON.stringify(['head', number, mac]))
  }

  isSealed(head: Head, seal: string): boolean {
    return isSame(seal, this.sealOf(head))
  }

  #code(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('hex')
  }
}

const isSame = (a: string, b: string) =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
