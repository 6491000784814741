import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import type { CacheStore } from '../../deployments/app/cache-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { readAs, type StoreTools } from '../store-tools.ts'

const Row = z.object({ cache_generation: z.number(), cache_built: z.number() })

/** The generations of the apps' build caches, in the table of apps. */
export class CacheRows implements CacheStore {
  readonly #transaction: StoreTools['transaction']
  readonly #find
  readonly #reset
  readonly #built

  constructor(db: DatabaseSync, { transaction }: Pick<StoreTools, 'transaction'>) {
    this.#transaction = transaction
    this.#find = db.prepare('SELECT cache_generation, cache_built FROM apps WHERE app = ?')
    this.#reset = db.prepare(
      `INSERT INTO apps (app, cache_generation) VALUES (?, 1)
       ON CONFLICT DO UPDATE SET cache_generation = cache_generation + 1`,
    )
    this.#built = db.prepare('UPDATE apps SET cache_built = ?2 WHERE app = ?1 AND cache_built < ?2')
  }

  async of(app: string) {
    const row = this.#find.get(app)
    if (!row) return { generation: 0, isCold: false }
    const { cache_generation: generation, cache_built: built } = readAs(Row, row)
    return { generation, isCold: built < generation }
  }

  async reset(app: string) {
    keepWithin('The app’s name', app, sizeLimits.nameBytes)
    this.#transaction(() => this.#reset.run(app))
  }

  async noteBuilt(app: string, generation: number) {
    this.#transaction(() => this.#built.run(app, generation))
  }
}
