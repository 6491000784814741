import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Scope } from '#api/callers/scope.ts'
import { assertLinkFree } from '../../deployments/callers/deploy-link.ts'
import type {
  NewStoredToken,
  StoredToken,
  TokenStore,
} from '../../deployments/callers/token-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { parsedObject, readAs, type StoreTools } from '../store-tools.ts'

const hash = z.instanceof(Uint8Array).refine(({ length }) => length === 32)
const Row = z.object({
  seq: z.number(),
  id: z.string(),
  team: z.string().nullable(),
  hash,
  old_hash: hash.nullable(),
  old_until: z.string().nullable(),
  expires_at: z.string().nullable(),
  rotated_at: z.string().nullable(),
  revoked_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
  used_by: z.string().nullable(),
  body: z.string(),
})
const names = z.array(z.string()).nullable()
const Body = z.object({
  kind: z.enum(['token', 'deploy-link']),
  name: z.string(),
  scopes: z.array(Scope),
  apps: names,
  owners: names,
  createdAt: z.string(),
  createdBy: z.string(),
  createdByToken: z.string().nullable(),
})

/** The table of tokens. */
export class TokenRows implements TokenStore {
  readonly #db: DatabaseSync
  readonly #transaction: StoreTools['transaction']

  constructor(db: DatabaseSync, { transaction }: Pick<StoreTools, 'transaction'>) {
    this.#db = db
    this.#transaction = transaction
  }

  async all() {
    const rows = this.#db.prepare('SELECT * FROM tokens ORDER BY seq').all()
    return rows.flatMap((row) => readToken(row) ?? [])
  }

  async add({ id, team, hash, expiresAt, ...rest }: NewStoredToken) {
    const body = keepWithin('The token', JSON.stringify(Body.parse(rest)), sizeLimits.tokenBytes)
    const insert = this.#db.prepare(
      'INSERT INTO tokens (id, team, hash, expires_at, body) VALUES (?, ?, ?, ?, ?) RETURNING *',
    )
    const row = this.#transaction(() => insert.get(id, team, hash, expiresAt, body))
    return toToken(readAs(Row, row), rest)
  }

  async revoke(ids: readonly string[], at: string) {
    const update = this.#db.prepare(
      'UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL',
    )
    this.#each(ids, (id) => update.run(at, id))
  }

  async rotate(id: string, change: Parameters<TokenStore['rotate']>[1]) {
    const { hash, oldHash, oldUntil, rotatedAt, expiresAt } = change
    const update = this.#db.prepare(
      'UPDATE tokens SET hash = ?, old_hash = ?, old_until = ?, rotated_at = ?, expires_at = ? WHERE id = ?',
    )
    this.#transaction(() => update.run(hash, oldHash, oldUntil, rotatedAt, expiresAt, id))
  }

  async noteUses(uses: readonly { id: string; at: string }[]) {
    const update = this.#db.prepare('UPDATE tokens SET last_used_at = ? WHERE id = ?')
    this.#each(uses, ({ id, at }) => update.run(at, id))
  }

  async remove(ids: readonly string[]) {
    const remove = this.#db.prepare('DELETE FROM tokens WHERE id = ?')
    this.#each(ids, (id) => remove.run(id))
  }

  /**
   * Throws unless this deploy link may be answered with the deployment that the request's key made.
   * For use within a transaction of the store.
   */
  assertFree(link: string, made: string | null): void {
    const row = this.#db.prepare('SELECT used_by FROM tokens WHERE id = ?').get(link)
    assertLinkFree(readAs(z.object({ used_by: z.string().nullable() }), row).used_by, made)
  }

  /** Uses up a deploy link. For use within a transaction of the store, after `assertFree`. */
  use(link: string, deployment: string): void {
    this.#db.prepare('UPDATE tokens SET used_by = ? WHERE id = ?').run(deployment, link)
  }

  #each<T>(items: readonly T[], write: (item: T) => unknown): void {
    if (items.length > 0) this.#transaction(() => items.forEach((item) => void write(item)))
  }
}

/** Null: the record is damaged. */
function readToken(value: unknown): StoredToken | null {
  const row = Row.safeParse(value)
  const body = row.success ? Body.safeParse(parsedObject(row.data.body)) : null
  return row.success && body?.success ? toToken(row.data, body.data) : null
}

const toToken = (row: z.infer<typeof Row>, body: z.infer<typeof Body>): StoredToken => ({
  ...body,
  seq: row.seq,
  id: row.id,
  team: row.team,
  hash: row.hash,
  oldHash: row.old_hash,
  oldUntil: row.old_until,
  expiresAt: row.expires_at,
  rotatedAt: row.rotated_at,
  revokedAt: row.revoked_at,
  lastUsedAt: row.last_used_at,
  deployment: row.used_by,
})
