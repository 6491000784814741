import type { DatabaseSync } from 'node:sqlite'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readRows } from '../store-tools.ts'
import { type Body, type ChainKey, ChainRow, type Head } from './chain.ts'

/** Bytes of one entry. One of a rollout names all its targets. */
const entryBytes = sizeLimits.recordBytes

/** The table of the audit trail, for use within a transaction of the store. */
export class AuditRows {
  readonly #db: DatabaseSync
  readonly #insert
  readonly #open
  readonly #close

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#insert = db.prepare(
      'INSERT INTO audit (number, at, key_id, body, mac) VALUES (?, ?, ?, ?, ?)',
    )
    this.#open = db.prepare('INSERT INTO audit_open (number) VALUES (?)')
    this.#close = db.prepare('DELETE FROM audit_open WHERE number = ?')
  }

  /** Adds an entry after the newest. `number`: where the trail goes on after a gap. */
  add(
    body: Body,
    { key, at, number }: { key: ChainKey; at: string; number?: number },
  ): Head & { at: string } {
    const last = this.last()
    const text = keepWithin('The entry of the audit trail', JSON.stringify(body), entryBytes)
    const entry = {
      number: number ?? (last?.number ?? 0) + 1,
      // A clock that is set back must not hide entries from a search by time.
      at: last && last.at > at ? last.at : at,
      body: text,
    }
    const mac = key.codeOf(last?.mac ?? '', entry)
    this.#insert.run(entry.number, entry.at, key.id, text, mac)
    if (body.kind === 'began') this.#open.run(entry.number)
    if (body.kind === 'ended' && body.opened !== null) this.#close.run(body.opened)
    return { number: entry.number, at: entry.at, mac }
  }

  last(): ChainRow | null {
    return this.#rows('ORDER BY number DESC LIMIT 1')[0] ?? null
  }

  /** Oldest first, after `number`. */
  after(number: number, limit: number): ChainRow[] {
    return this.#rows('WHERE number > ? ORDER BY number LIMIT ?', number, limit)
  }

  /** Newest first, before `number`. */
  before(number: number, limit: number): ChainRow[] {
    return this.#rows('WHERE number < ? ORDER BY number DESC LIMIT ?', number, limit)
  }

  /** The number of the newest entry of that time or before. 0: there is none. */
  numberAt(at: string): number {
    const row = this.#db
      .prepare('SELECT number FROM audit WHERE at <= ? ORDER BY at DESC, number DESC LIMIT 1')
      .get(at)
    return Number(row?.['number'] ?? 0)
  }

  /** Calls that have begun and not ended. */
  open(): ChainRow[] {
    return this.#rows('WHERE number IN (SELECT number FROM audit_open) ORDER BY number')
  }

  /** The first of the newest entries that another key made. */
  foreignSince(keyId: string): number | null {
    const row = this.#db
      .prepare(
        `SELECT min(number) AS number FROM audit
         WHERE number > coalesce((SELECT max(number) FROM audit WHERE key_id = ?), 0)`,
      )
      .get(keyId)
    return row?.['number'] == null ? null : Number(row['number'])
  }

  /** Removes the oldest entries that are older than `at`, some of them. Returns the newest removed one. */
  removeOldest(at: string, limit: number): ChainRow | null {
    const until = this.#rows(
      `WHERE number = (SELECT max(number) FROM (SELECT number FROM audit WHERE at < ? ORDER BY number LIMIT ?))
         AND number < (SELECT max(number) FROM audit)`,
      at,
      limit,
    )[0]
    if (!until) return null
    this.#db.prepare('DELETE FROM audit WHERE number <= ?').run(until.number)
    this.#db.prepare('DELETE FROM audit_open WHERE number <= ?').run(until.number)
    return until
  }

  #rows(where: string, ...values: (string | number)[]): ChainRow[] {
    const rows = this.#db.prepare(`SELECT number, at, key_id, body, mac FROM audit ${where}`)
    return [...readRows(ChainRow, rows.iterate(...values))]
  }
}
