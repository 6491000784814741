import type { DatabaseSync } from 'node:sqlite'
import type { DeploymentState } from '#api/deployment.ts'
import type { Preview, PreviewFilter, PreviewState } from '#api/previews/preview.ts'
import type {
  NewStoredPreview,
  PreviewPatch,
  PreviewStore,
} from '../../deployments/previews/preview-store.ts'
import { previewIdIn } from '../../deployments/previews/preview-names.ts'
import { ownerLimit, wholeLimit } from '../../deployments/previews/preview-limit.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { Notices } from '../notices.ts'
import { pageOf, readAs, readRows, seenRows, type StoreTools } from '../store-tools.ts'
import {
  bodyOf,
  type PreviewBody as Body,
  PreviewRow as Row,
  toFound,
  toPreview,
} from './preview-record.ts'

/** `fits`: of one that is made for a pool. */
type Made = Pick<Preview, 'flyApp' | 'deployment' | 'triggeredBy'> & { fits: string | null }

/** The table of previews. */
export class PreviewRows implements PreviewStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #notices: Notices
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(db: DatabaseSync, tools: StoreTools, notices: Notices) {
    this.#db = db
    this.#tools = tools
    this.#notices = notices
  }

  async find(id: string) {
    return toFound(this.#row('id = ?', id))
  }

  async ofFlyApp(flyApp: string) {
    return toFound(this.#row('fly_app = ?', flyApp))
  }

  async list({ app, owner, state }: PreviewFilter, { limit, before, isSeen }: PageRequest) {
    const rows = this.#prepare(
      `SELECT * FROM previews WHERE seq < ? AND owner <> '' AND (?2 IS NULL OR app = ?2) AND (?3 IS NULL OR owner = ?3)
         AND (?4 IS NULL OR state = ?4 OR (?4 = 'living' AND ended_at IS NULL)) ORDER BY seq DESC`,
    ).iterate(
      before === null ? Number.MAX_SAFE_INTEGER : Number(before),
      app ?? null,
      owner ?? null,
      state ?? null,
    )
    const { shown, next } = pageOf(readRows(Row, seenRows(rows, isSeen)), limit, ({ seq }) => seq)
    return { previews: shown.map(toPreview), next }
  }

  async living() {
    return this.#living().map(toPreview)
  }

  countLiving() {
    const row = this.#prepare(
      "SELECT count(*) AS n FROM previews WHERE ended_at IS NULL AND owner <> ''",
    ).get()
    return Number(row?.['n'] ?? 0)
  }

  async move(
    id: string,
    from: readonly PreviewState[],
    to: PreviewState,
    patch: PreviewPatch = {},
  ) {
    return this.#tools.transaction(() => this.moveNow(id, from, to, patch))
  }

  /** As `move`. For use within a transaction of the store. */
  moveNow(id: string, from: readonly PreviewState[], to: PreviewState, patch: PreviewPatch) {
    const row = this.#row('id = ?', id)
    return row && from.includes(row.state) ? this.#move(row, to, patch) : null
  }

  /** As `moveNow`, of one that no request has. */
  moveEntry(id: string, from: readonly PreviewState[], to: PreviewState, patch: PreviewPatch = {}) {
    const row = this.#row("owner = '' AND id = ?", id)
    return row !== null && from.includes(row.state) && this.#move(row, to, patch) !== null
  }

  async setEnd(id: string, expiresAt: string) {
    return this.#tools.transaction(() => {
      const row = this.#row("id = ? AND ended_at IS NULL AND state <> 'destroying'", id)
      if (!row) return null
      this.#prepare('UPDATE previews SET expires_at = ? WHERE id = ?').run(expiresAt, id)
      this.#notices.previewsHaveChanged()
      return toFound(this.#row('id = ?', id))
    })
  }

  async note(id: string, problem: Preview['problem']) {
    this.#tools.transaction(() => {
      const row = this.#row('id = ?', id)
      if (row) this.#write(row, row.state, { problem })
    })
  }

  onChange(listener: () => void) {
    return this.#notices.onPreviewsChange(listener)
  }

  appOf(flyApp: string): string | null {
    const row = previewIdIn(flyApp)
      ? this.#prepare('SELECT app FROM previews WHERE fly_app = ?').get(flyApp)
      : undefined
    return row ? String(row['app']) : null
  }

  /** How many of each app there are, without those that wait in a pool. */
  livingByApp(): { app: string; n: number }[] {
    const rows = this.#prepare(
      "SELECT app, count(*) AS n FROM previews WHERE ended_at IS NULL AND owner <> '' GROUP BY app",
    ).all()
    return rows.map(({ app, n }) => ({ app: String(app), n: Number(n) }))
  }

  /** Throws `preview-limit` if there may be no further one. Returns the owner's others. */
  assertRoom({ app, owner, evict, limits }: NewStoredPreview): Row[] {
    const own = this.#living('app = ? AND owner = ?', app, owner)
    // The evicted ones take a moment to go. Their number is limited too.
    const most = evict ? 2 * limits.perOwner : limits.perOwner
    if (own.length >= most) throw ownerLimit({ app, owner }, limits, own.map(toPreview))
    if (this.countLiving() >= limits.all) throw wholeLimit(limits.all)
    return own
  }

  /** Whether it may take the place of another one of its owner. */
  mayReplace({ app, owner, evict }: NewStoredPreview) {
    return evict && this.#living('app = ? AND owner = ?', app, owner).some(stays)
  }

  /** Also destroys those whose place it takes, at least `fewest`. Call it within a transaction. */
  makeRoom(fresh: NewStoredPreview, fewest: 0 | 1): void {
    const kept = this.assertRoom(fresh).filter(stays)
    for (const row of kept.slice(0, Math.max(fewest, kept.length + 1 - fresh.limits.perOwner)))
      this.#move(row, 'destroying', { ending: { why: 'evicted', by: null } })
  }

  /** For use within a transaction of the store. */
  add(
    { id, app, owner, template, expiresAt }: NewStoredPreview,
    { flyApp, deployment, triggeredBy, fits }: Made,
  ): void {
    const at = this.#tools.time()
    const body: Body = {
      stateSince: at,
      url: null,
      readyAt: null,
      template,
      triggeredBy,
      fromPool: false,
      ending: null,
      problem: null,
    }
    this.#prepare(
      `INSERT INTO previews
         (id, app, owner, fly_app, deployment, state, created_at, expires_at, body, fits)
       VALUES (?, ?, ?, ?, ?, 'starting', ?, ?, ?, ?)`,
    ).run(id, app, owner, flyApp, deployment, at, expiresAt, JSON.stringify(body), fits)
    this.#notices.previewsHaveChanged()
  }

  /** Its deployment has ended. For use within a transaction of the store. */
  deploymentEnded(deployment: string, state: DeploymentState, patch: PreviewPatch): void {
    const row = this.#row("deployment = ? AND state = 'starting'", deployment)
    if (!row) return
    if (state === 'live') this.#move(row, 'ready', { url: patch.url ?? null })
    else
      this.#move(row, 'destroying', {
        ending: { why: 'failed', by: null },
        problem: patch.problem ?? null,
      })
  }

  #move(row: Row, to: PreviewState, patch: PreviewPatch): Preview {
    const at = this.#tools.time()
    const isFirst = to === 'ready' && bodyOf(row).readyAt === null
    this.#write(row, to, { ...patch, stateSince: at, ...(isFirst && { readyAt: at }) })
    if (to === 'destroyed' || to === 'failed')
      this.#prepare('UPDATE previews SET ended_at = ? WHERE id = ?').run(at, row.id)
    this.#notices.previewsHaveChanged()
    return toPreview(this.#row('id = ?', row.id)!)
  }

  #write(row: Row, state: PreviewState, patch: Partial<Body>): void {
    const body = JSON.stringify({ ...bodyOf(row), ...patch })
    this.#prepare('UPDATE previews SET state = ?, body = ? WHERE id = ?').run(
      state,
      keepWithin('The preview', body, sizeLimits.optionsBytes),
      row.id,
    )
  }

  #living(where = '1', ...values: string[]): Row[] {
    const sql = `SELECT * FROM previews WHERE ended_at IS NULL AND ${where} ORDER BY seq`
    return [...readRows(Row, this.#prepare(sql).all(...values))]
  }

  #row(where: string, value: string): Row | null {
    const row = this.#prepare(`SELECT * FROM previews WHERE ${where}`).get(value)
    return row ? readAs(Row, row) : null
  }

  #prepare(sql: string) {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, known)
    return known
  }
}

const stays = ({ state }: Row): boolean => state !== 'destroying'
