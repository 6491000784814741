import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { OwnerDestroys } from '../../deployments/owners/owner-destroys.ts'
import {
  type Owned,
  type OwnerStore,
  type Rest,
  restStates,
} from '../../deployments/owners/owner-store.ts'
import { toDeployment } from '../record.ts'
import type { CrashRows } from '../rows/crash-rows.ts'
import type { DeploymentRows } from '../rows/deployment-rows.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'
import type { OwnerAppRows } from './owner-app-rows.ts'

const Row = z.object({
  owner: z.string(),
  state: z.enum(restStates),
  made_by: z.string(),
  at: z.string(),
})
type Others = { crashes: CrashRows; deployments: DeploymentRows; ownerApps: OwnerAppRows }

/** Owners: their releases and deployments, and the table of why their machines do not run. */
export class OwnerRows implements OwnerStore {
  readonly destroys = new OwnerDestroys()
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #others: Others

  constructor(db: DatabaseSync, tools: StoreTools, others: Others) {
    this.#db = db
    this.#tools = tools
    this.#others = others
  }

  async releases(app: string) {
    const all = this.#others.crashes.newestOf(app, { destroyed: true })
    return all.flatMap(({ owner, ...release }) => (owner === null ? [] : [{ ...release, owner }]))
  }

  async unfinished({ app, owner }: Owned) {
    return this.#unfinished({ app, owner }).map(toDeployment)
  }

  async restOf({ app, owner }: Owned) {
    const row = this.#db
      .prepare('SELECT * FROM owner_rests WHERE app = ? AND owner = ?')
      .get(app, owner)
    return row ? toRest(readAs(Row, row)) : null
  }

  async rests(app: string) {
    const rows = this.#db.prepare('SELECT * FROM owner_rests WHERE app = ?').iterate(app)
    return new Map(Array.from(readRows(Row, rows), (row) => [row.owner, toRest(row)]))
  }

  async setRest({ app, owner }: Owned, rest: Omit<Rest, 'at'> | null) {
    const at = this.#tools.time()
    this.#tools.transaction(() => {
      if (!rest) return this.#wake({ app, owner })
      this.#db
        .prepare('INSERT OR REPLACE INTO owner_rests VALUES (?, ?, ?, ?, ?)')
        .run(app, owner, rest.state, rest.by, at)
    })
  }

  async forget({ app, owner }: Owned, release: number) {
    this.#tools.transaction(() => {
      this.#db
        .prepare('DELETE FROM releases WHERE app = ? AND owner = ? AND number <= ?')
        .run(app, owner, release)
      this.#others.crashes.prune(app, owner, release)
      this.#wake({ app, owner })
      // A deployment that waits already has its app on Fly.
      if (this.#unfinished({ app, owner }).length === 0)
        this.#others.ownerApps.forgetNow({ app, owner })
    })
  }

  #unfinished({ app, owner }: Owned) {
    const sql =
      'SELECT * FROM deployments WHERE app = ? AND owner = ? AND ended_at IS NULL ORDER BY number'
    return this.#others.deployments.all(sql, [app, owner])
  }

  #wake({ app, owner }: Owned): void {
    this.#db.prepare('DELETE FROM owner_rests WHERE app = ? AND owner = ?').run(app, owner)
  }
}

const toRest = ({ state, made_by: by, at }: z.infer<typeof Row>): Rest => ({ state, by, at })
