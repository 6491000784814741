import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { SealedStore, SealedValue } from '../../deployments/sealing/sealed-store.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({
  owner: z.string(),
  name: z.string(),
  keyId: z.string(),
  sealed: z.instanceof(Uint8Array),
})
const Count = z.object({ keyId: z.string(), count: z.number() })
const Key = z.object({ keyId: z.string(), since: z.string() })

/** The table of secrets as a whole, for the rotation of the sealing key. */
export class SealedRows implements SealedStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#db = db
    this.#tools = tools
  }

  async countByKey() {
    const sql = 'SELECT key_id AS keyId, count(*) AS count FROM secrets GROUP BY key_id'
    const rows = readRows(Count, this.#db.prepare(sql).iterate())
    return new Map([...rows].map(({ keyId, count }) => [keyId, count]))
  }

  async sealedByOthers(
    keyId: string,
    after: Pick<SealedValue, 'owner' | 'name'> | null,
    limit: number,
  ) {
    const rows = this.#db
      .prepare(
        `SELECT owner, name, key_id AS keyId, sealed FROM secrets
         WHERE key_id <> ? AND (owner, name) > (?, ?) ORDER BY owner, name LIMIT ?`,
      )
      .iterate(keyId, after?.owner ?? '', after?.name ?? '', limit)
    return [...readRows(Row, rows)]
  }

  async reseal(values: Parameters<SealedStore['reseal']>[0]) {
    const update = this.#db.prepare(
      `UPDATE secrets SET key_id = ?, sealed = ?
       WHERE owner = ? AND name = ? AND key_id = ? AND sealed = ?`,
    )
    const replace = ({ before, after }: (typeof values)[number]) => {
      const { owner, name, keyId, sealed } = before
      return Number(update.run(after.keyId, after.sealed, owner, name, keyId, sealed).changes)
    }
    return this.#tools.transaction(() =>
      values.map(replace).reduce((sum, changes) => sum + changes, 0),
    )
  }

  async useKey(keyId: string) {
    const read = () => {
      const row = this.#db.prepare('SELECT key_id AS keyId, since FROM sealing_key').get()
      return row ? readAs(Key, row) : null
    }
    const known = read()
    if (known?.keyId === keyId) return known.since
    const since = this.#tools.time()
    this.#tools.transaction(() =>
      this.#db.prepare('INSERT OR REPLACE INTO sealing_key VALUES (1, ?, ?)').run(keyId, since),
    )
    return since
  }
}
