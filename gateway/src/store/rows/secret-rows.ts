import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { SecretFacts } from '#api/secret.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { SealedSecret, SecretOwner } from '../../deployments/secret-store.ts'
import { readAs, readRows } from '../store-tools.ts'

const Row = SecretFacts.extend({ keyId: z.string(), sealed: z.instanceof(Uint8Array) })

/** The table of secrets, for use within a transaction of the store. */
export class SecretRows {
  readonly #put
  readonly #remove
  readonly #erase
  readonly #of

  constructor(db: DatabaseSync) {
    this.#put = db.prepare(
      `INSERT INTO secrets (owner, name, key_id, sealed, created_at, updated_at) VALUES (?, ?, ?, ?, ?5, ?5)
       ON CONFLICT DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, updated_at = excluded.updated_at
       RETURNING name, created_at AS createdAt, updated_at AS updatedAt`,
    )
    this.#remove = db.prepare('DELETE FROM secrets WHERE owner = ? AND name = ?')
    this.#erase = db.prepare('DELETE FROM secrets WHERE owner = ?')
    this.#of = db.prepare(
      `SELECT name, key_id AS keyId, sealed, created_at AS createdAt, updated_at AS updatedAt FROM secrets
       WHERE owner = ? ORDER BY name`,
    )
  }

  put(owner: SecretOwner, { name, keyId, sealed }: SealedSecret, at: string): SecretFacts {
    for (const text of [owner, name, keyId])
      keepWithin('The name of a secret', text, sizeLimits.nameBytes)
    keepWithin('The secret', sealed, sizeLimits.secretBytes)
    return readAs(SecretFacts, this.#put.get(owner, name, keyId, sealed, at))
  }

  remove(owner: SecretOwner, name: string): boolean {
    return this.#remove.run(owner, name).changes > 0
  }

  /** Returns the names that were there to remove. */
  change(
    owner: SecretOwner,
    { put, remove }: { put: SealedSecret[]; remove: string[] },
    at: string,
  ): string[] {
    for (const secret of put) this.put(owner, secret, at)
    return remove.filter((name) => this.remove(owner, name))
  }

  erase(owner: SecretOwner): void {
    this.#erase.run(owner)
  }

  of(owner: SecretOwner): (SealedSecret & SecretFacts)[] {
    return [...readRows(Row, this.#of.iterate(owner))]
  }
}
