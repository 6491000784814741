import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { OwnersSetting } from '#api/options/owners-setting.ts'
import type {
  OwnerApp,
  OwnerAppStore,
  OwnersPolicy,
  OwnerTarget,
} from '../../deployments/owners/owner-app-store.ts'
import { readAs, readRows, type StoreTools } from '../store-tools.ts'

const Row = z.object({
  app: z.string(),
  owner: z.string(),
  fly_app: z.string(),
  created_at: z.string(),
})

const own = 'fly_app <> app AND NOT forgotten'

/** The table of where owners' machines are. */
export class OwnerAppRows implements OwnerAppStore {
  readonly #tools: StoreTools
  readonly #policy: OwnersPolicy
  readonly #find
  readonly #ofFlyApp
  readonly #list
  readonly #names
  readonly #add
  readonly #forget

  constructor(db: DatabaseSync, tools: StoreTools, policy: OwnersPolicy) {
    this.#tools = tools
    this.#policy = policy
    this.#find = db.prepare(
      'SELECT fly_app FROM owner_apps WHERE app = ? AND owner = ? AND NOT forgotten',
    )
    this.#ofFlyApp = db.prepare('SELECT * FROM owner_apps WHERE fly_app = ? AND fly_app <> app')
    this.#list = db.prepare(
      `SELECT * FROM owner_apps WHERE app = ? AND ${own} ORDER BY created_at, owner`,
    )
    this.#names = db.prepare(`SELECT fly_app FROM owner_apps WHERE app = ? AND ${own}`)
    this.#add = db.prepare(
      `INSERT INTO owner_apps (app, owner, fly_app, created_at) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (app, owner) DO UPDATE SET fly_app = ?3, created_at = ?4, forgotten = 0`,
    )
    this.#forget = db.prepare(
      'UPDATE owner_apps SET forgotten = 1 WHERE app = ?1 AND (?2 IS NULL OR owner = ?2)',
    )
  }

  get setting(): OwnersSetting {
    return this.#policy.setting
  }

  flyAppOf({ app, owner }: OwnerTarget): string {
    return (owner === null ? null : this.#found(app, owner)) ?? app
  }

  targetOf(flyApp: string) {
    const row = this.#ofFlyApp.get(flyApp)
    if (!row) return null
    const { app, owner } = readAs(Row, row)
    return { app, owner }
  }

  list(app: string): OwnerApp[] {
    return Array.from(readRows(Row, this.#list.all(app)), (row) => ({
      flyApp: row.fly_app,
      app: row.app,
      owner: row.owner,
      createdAt: row.created_at,
    }))
  }

  /** Their names alone. */
  flyAppsOf(app: string): string[] {
    return this.#names.all(app).map((row) => String(row['fly_app']))
  }

  forget({ app, owner }: OwnerTarget): void {
    this.#tools.transaction(() => this.forgetNow({ app, owner }))
  }

  /** The same, within a transaction of the store. */
  forgetNow({ app, owner }: OwnerTarget): void {
    this.#forget.run(app, owner)
  }

  /**
   * The app on Fly for a deployment of this target. The first one decides it, by the setting of the
   * app, or else of the gateway. For use within a transaction of the store.
   */
  place({ app, owner }: OwnerTarget, own: OwnersSetting | undefined): string {
    if (owner === null) return app
    const known = this.#found(app, owner)
    if (known !== null) return known
    const isOwn = (own ?? this.#policy.setting) === 'app-per-owner'
    const flyApp = isOwn ? this.#policy.nameOf({ app, owner }) : app
    this.#add.run(app, owner, flyApp, this.#tools.time())
    return flyApp
  }

  #found(app: string, owner: string): string | null {
    const row = this.#find.get(app, owner)
    return row ? String(row['fly_app']) : null
  }
}
