import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import {
  maxSessionsOfCaller,
  type SessionStore,
  type StoredSession,
} from '../../deployments/callers/session-store.ts'
import { readAs, type StoreTools } from '../store-tools.ts'

const bytes = z.instanceof(Uint8Array)
const Row = z.object({ hash: bytes, caller: z.string(), token: bytes, expires_at: z.string() })
const Hash = Row.pick({ hash: true })

/** The table of the dashboard's sessions. */
export class SessionRows implements SessionStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #find

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#db = db
    this.#tools = tools
    this.#find = db.prepare('SELECT * FROM sessions WHERE hash = ? AND expires_at > ?')
  }

  async add({ hash, caller, token, expiresAt }: StoredSession) {
    this.#tools.transaction(() => {
      this.#db.prepare('DELETE FROM sessions WHERE expires_at <= ?').run(this.#tools.time())
      this.#db
        .prepare(
          `DELETE FROM sessions WHERE seq IN (
             SELECT seq FROM sessions WHERE caller = ? ORDER BY seq DESC LIMIT -1 OFFSET ?)`,
        )
        .run(caller, maxSessionsOfCaller - 1)
      this.#db
        .prepare('INSERT INTO sessions (hash, caller, token, expires_at) VALUES (?, ?, ?, ?)')
        .run(hash, caller, token, expiresAt)
    })
  }

  async find(hash: Uint8Array) {
    const found = this.#find.get(hash, this.#tools.time())
    if (!found) return null
    const { expires_at: expiresAt, ...rest } = readAs(Row, found)
    return { ...rest, expiresAt }
  }

  async remove(hash: Uint8Array) {
    this.#tools.transaction(
      () => void this.#db.prepare('DELETE FROM sessions WHERE hash = ?').run(hash),
    )
  }

  async removeAll(caller: string) {
    const remove = this.#db.prepare('DELETE FROM sessions WHERE caller = ? RETURNING hash')
    return this.#tools.transaction(() => remove.all(caller)).map((row) => readAs(Hash, row).hash)
  }
}
