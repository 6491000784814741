import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { Router, RouterStore } from '../../deployments/router/router-store.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({ app: z.string(), router: z.string(), domain: z.string().nullable() })

/** The table of routers. */
export class RouterRows implements RouterStore {
  readonly #tools: StoreTools
  readonly #find
  readonly #appOf
  readonly #list
  readonly #put
  readonly #remove

  constructor(db: DatabaseSync, tools: StoreTools) {
    this.#tools = tools
    this.#find = db.prepare('SELECT app, router, domain FROM routers WHERE app = ?')
    this.#appOf = db.prepare('SELECT app FROM routers WHERE router = ?')
    this.#list = db.prepare('SELECT app, router, domain FROM routers ORDER BY app')
    this.#put = db.prepare(
      `INSERT INTO routers (app, router, domain) VALUES (?, ?, ?)
       ON CONFLICT (app) DO UPDATE SET domain = excluded.domain`,
    )
    this.#remove = db.prepare('DELETE FROM routers WHERE app = ?')
  }

  find(app: string): Router | null {
    const row = this.#find.get(app)
    return row ? readAs(Row, row) : null
  }

  appOf(router: string): string | null {
    const row = this.#appOf.get(router)
    return row ? String(row['app']) : null
  }

  list(): Router[] {
    return [...readRows(Row, this.#list.iterate())]
  }

  put({ app, router, domain }: Router): void {
    this.#tools.transaction(() => void this.#put.run(app, router, domain))
  }

  remove(app: string): void {
    this.#tools.transaction(() => void this.#remove.run(app))
  }
}
