import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Pool } from '#api/previews/pool.ts'
import type { Preview } from '#api/previews/preview.ts'
import { Problem } from '#api/problem.ts'
import { type PoolName, type PoolStore, restStates } from '../../deployments/previews/pool-store.ts'
import type { NewStoredPreview } from '../../deployments/previews/preview-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { Notices } from '../notices.ts'
import { parsedObject, readAs, readRows, type StoreTools } from '../store-tools.ts'
import { bodyOf, PreviewRow, toPreview } from './preview-record.ts'
import type { PreviewRows } from './preview-rows.ts'

const Claimed = z.object({ app: z.string(), template: z.string(), n: z.number() })
const inRest = restStates.map((state) => `'${state}'`).join(', ')
const beforeTheEnd = ['starting', 'ready', ...restStates] as const

/** The table of pools, and their entries in the table of previews. */
export class PoolRows implements PoolStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #notices: Notices
  readonly #previews: PreviewRows

  constructor(
    db: DatabaseSync,
    tools: StoreTools,
    { notices, previews }: { notices: Notices; previews: PreviewRows },
  ) {
    this.#db = db
    this.#tools = tools
    this.#notices = notices
    this.#previews = previews
  }

  async list() {
    const rows = this.#db.prepare('SELECT body FROM preview_pools ORDER BY app, template').all()
    return rows.map(toPool)
  }

  async set(fresh: Omit<Pool, 'setAt' | 'problem'>, most: number) {
    return this.#tools.transaction(() => {
      const row = this.#db
        .prepare(
          `SELECT coalesce(sum(body ->> '$.size'), 0) AS n FROM preview_pools
           WHERE NOT (app = ? AND template = ?)`,
        )
        .get(fresh.app, fresh.template)
      const others = Number(row?.['n'] ?? 0)
      if (others + fresh.size > most) throw tooMany(fresh.size, others, most)
      const pool: Pool = { ...fresh, setAt: this.#tools.time(), problem: null }
      this.#put(pool)
      return pool
    })
  }

  async remove(name: PoolName) {
    return this.#tools.transaction(() => {
      const pool = this.#find(name)
      this.#db
        .prepare('DELETE FROM preview_pools WHERE app = ? AND template = ?')
        .run(name.app, name.template)
      this.#notices.previewsHaveChanged()
      return pool
    })
  }

  async note(name: PoolName, problem: Pool['problem']) {
    this.#tools.transaction(() => {
      const pool = this.#find(name)
      if (pool && (problem ?? pool.problem) !== null) this.#put({ ...pool, problem })
    })
  }

  async entries() {
    const rows = this.#rows("ended_at IS NULL AND owner = ''")
    return rows.flatMap((row) => (row.fits === null ? [] : { ...toPreview(row), fits: row.fits }))
  }

  async claimedSince(at: string) {
    const rows = this.#db
      .prepare(
        `SELECT app, body ->> '$.template.name' AS template, count(*) AS n FROM previews
         WHERE fits IS NOT NULL AND owner <> '' AND created_at >= ? GROUP BY 1, 2`,
      )
      .all(at)
    return [...readRows(Claimed, rows)]
  }

  async rested(id: string, state: (typeof restStates)[number]) {
    return this.#tools.transaction(() =>
      this.#previews.moveEntry(id, ['ready', ...restStates], state),
    )
  }

  async drop(id: string) {
    const ending = { why: 'asked', by: null } as const
    return this.#tools.transaction(() =>
      this.#previews.moveEntry(id, beforeTheEnd, 'destroying', { ending }),
    )
  }

  async giveUp({ id, deployment }: Pick<Preview, 'id' | 'deployment'>, problem: Pool['problem']) {
    return this.#tools.transaction(() => {
      const patch = { ending: { why: 'failed', by: null } as const, problem }
      if (!this.#previews.moveNow(id, ['starting'], 'destroying', patch)) return false
      this.#db.prepare("UPDATE previews SET owner = '' WHERE id = ?").run(id)
      this.#db.prepare('DELETE FROM idempotency_keys WHERE deployment = ?').run(deployment)
      return true
    })
  }

  /** The oldest entry that fits. For use within a transaction of the store. */
  oldest({ app }: Pick<Preview, 'app'>, fits: string): Preview | null {
    const where = `ended_at IS NULL AND owner = '' AND state IN (${inRest}) AND app = ? AND fits = ?`
    const [row] = this.#rows(where, app, fits)
    return row ? toPreview(row) : null
  }

  /**
   * Gives an entry to a request. It is as new: its times and its place among the previews are those
   * of the request. False: another request has it. For use within a transaction of the store.
   */
  claim(
    id: string,
    { owner, expiresAt }: Pick<NewStoredPreview, 'owner' | 'expiresAt'>,
    triggeredBy: Preview['triggeredBy'],
  ): boolean {
    const [row] = this.#rows('id = ?', id)
    if (!row) return false
    const at = this.#tools.time()
    const fresh = { stateSince: at, readyAt: null, triggeredBy, fromPool: true }
    const body = JSON.stringify({ ...bodyOf(row), ...fresh })
    const { changes } = this.#db
      .prepare(
        `UPDATE previews SET owner = ?, state = 'starting', created_at = ?, expires_at = ?, body = ?,
           seq = (SELECT max(seq) + 1 FROM previews)
         WHERE id = ? AND owner = '' AND state IN (${inRest})`,
      )
      .run(owner, at, expiresAt, body, id)
    this.#notices.previewsHaveChanged()
    return changes === 1
  }

  #rows(where: string, ...values: string[]): PreviewRow[] {
    const rows = this.#db.prepare(`SELECT * FROM previews WHERE ${where} ORDER BY seq`)
    return [...readRows(PreviewRow, rows.all(...values))]
  }

  #find({ app, template }: PoolName): Pool | null {
    const row = this.#db
      .prepare('SELECT body FROM preview_pools WHERE app = ? AND template = ?')
      .get(app, template)
    return row ? toPool(row) : null
  }

  #put(pool: Pool): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO preview_pools VALUES (?, ?, ?)')
      .run(
        pool.app,
        pool.template,
        keepWithin('The pool', JSON.stringify(pool), sizeLimits.optionsBytes),
      )
    this.#notices.previewsHaveChanged()
  }
}

const Row = z.object({ body: z.string() })
const toPool = (row: unknown): Pool => readAs(Pool, parsedObject(readAs(Row, row).body))

const tooMany = (size: number, others: number, most: number): Problem =>
  new Problem(
    'option-invalid',
    `A pool of ${size} would be too much: the other pools of this gateway have ${others}, and all together may have ${most}. Ask for fewer, or remove another pool. The operator of the gateway can raise TARMAC_MAX_POOLED.`,
    { facts: { option: 'size', max: Math.max(0, most - others) } },
  )
