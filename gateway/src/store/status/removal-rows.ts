import type { DatabaseSync } from 'node:sqlite'
import { Removal } from '#api/status/disk/removals.ts'
import { readRows } from '../store-tools.ts'

const keepMs = 14 * 86_400_000
const most = 500

/** What was removed from the disk, for 14 days, the newest 500. */
export class RemovalRows {
  readonly #add
  readonly #drop
  readonly #all

  constructor(db: DatabaseSync) {
    this.#add = db.prepare(
      'INSERT INTO removals (at, what, why, app, count, bytes) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#drop = db.prepare(
      `DELETE FROM removals WHERE at < ? OR seq <= (SELECT max(seq) - ${most} FROM removals)`,
    )
    this.#all = db.prepare(
      'SELECT at, what, why, app, count, bytes FROM removals ORDER BY seq DESC',
    )
  }

  add({ at, what, why, app, count, bytes }: Removal): void {
    this.#add.run(at, what, why, app, count, bytes)
    this.#drop.run(new Date(Date.parse(at) - keepMs).toISOString())
  }

  all(): Removal[] {
    return [...readRows(Removal, this.#all.iterate())]
  }
}
