import type { DatabaseSync } from 'node:sqlite'
import { keptForMs, type SentTreeStore } from '../../deployments/sources/sent-tree-store.ts'
import type { StoreTools } from '../store-tools.ts'

/** The table of the trees that each app has sent. */
export class SentTreeRows implements SentTreeStore {
  readonly #tools: StoreTools
  readonly #note
  readonly #has
  readonly #newest
  readonly #all
  readonly #remove
  readonly #forget

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#tools = tools
    this.#note = db.prepare(
      `INSERT INTO sent_trees (app, digest, at, waits) VALUES (?, ?, ?, ?)
       ON CONFLICT (app, digest) DO UPDATE SET at = excluded.at, waits = excluded.waits`,
    )
    this.#has = db.prepare('SELECT 1 FROM sent_trees WHERE app = ? AND digest = ?')
    this.#newest = db.prepare(
      'SELECT digest FROM sent_trees WHERE app = ? ORDER BY at DESC, digest LIMIT ?',
    )
    this.#all = db.prepare('SELECT app, digest, waits AND at >= ? AS isWaiting FROM sent_trees')
    this.#remove = db.prepare('DELETE FROM sent_trees WHERE app = ? AND digest = ?')
    this.#forget = db.prepare('DELETE FROM sent_trees WHERE app = ?')
  }

  add(app: string, digest: string): void {
    this.#tools.transaction(() => void this.#note.run(app, digest, this.#tools.time(), 1))
  }

  /** A deployment of the app has this tree. Call it in the transaction that creates the deployment. */
  use(app: string, digest: string): void {
    this.#note.run(app, digest, this.#tools.time(), 0)
  }

  has(app: string, digest: string): boolean {
    return this.#has.get(app, digest) !== undefined
  }

  newest(app: string, limit: number): string[] {
    return this.#newest.all(app, limit).map(({ digest }) => String(digest))
  }

  forget(app: string): void {
    this.#tools.transaction(() => void this.#forget.run(app))
  }

  /**
   * Forgets what is no longer kept for its app. Returns the trees that wait for a deployment.
   * `isKept`: whether the records of an app keep a tree.
   */
  prune(isKept: (app: string, digest: string) => boolean): string[] {
    return this.#tools.transaction(() => {
      const rows = this.#all.all(this.#tools.time(-keptForMs)).map((row) => ({
        app: String(row['app']),
        digest: String(row['digest']),
        isWaiting: row['isWaiting'] === 1,
      }))
      const { left = [], over = [] } = Object.groupBy(rows, ({ app, digest, isWaiting }) =>
        isWaiting || isKept(app, digest) ? 'left' : 'over',
      )
      for (const { app, digest } of over) this.#remove.run(app, digest)
      return left.map(({ digest }) => digest)
    })
  }
}
