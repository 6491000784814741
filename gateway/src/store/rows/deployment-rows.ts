import type { DatabaseSync } from 'node:sqlite'
import { isFinal, type DeploymentState } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import { type Change, reasonOf } from '../../deployments/lanes.ts'
import { unpackJson } from '../../deployments/packed-json.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import { clears, mayMove } from '../../deployments/states.ts'
import { leaseMs, type Claim } from '../../deployments/store.ts'
import type { Notices } from '../notices.ts'
import {
  type Body,
  bodyText,
  type Patch,
  patchedBody,
  phasesAfter,
  rolloutText,
  Row,
  toDeployment,
} from '../record.ts'
import { pageOf, readAs, readRows, type StoreTools, seenRows } from '../store-tools.ts'
import type { QuotaRows } from '../callers/quota-rows.ts'
import type { PreviewRows } from '../previews/preview-rows.ts'
import type { CostRows } from './cost-rows.ts'
import type { EventRows } from './event-rows.ts'
import type { ReleaseRows } from './release-rows.ts'
import type { SecretRows } from './secret-rows.ts'

export type Holder = { id: string; epoch: number }

type Value = string | number | null
type Others = {
  events: EventRows
  secrets: SecretRows
  releases: ReleaseRows
  notices: Notices
  costs: CostRows
  quotas: QuotaRows
  previews: PreviewRows
}

/** Deployments, for use within a transaction of the store. */
export class DeploymentRows {
  readonly #db: DatabaseSync
  readonly #others: Others
  readonly time: StoreTools['time']
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(db: DatabaseSync, others: Others, time: StoreTools['time']) {
    this.#db = db
    this.#others = others
    this.time = time
  }

  /** Creates a pending deployment with the app's next number. */
  insert({ id, app, body, text }: { id: string; app: string; body: Body; text: string }): Row {
    const { options, source, image, triggeredBy } = body
    const reason = reasonOf(body)
    this.run(
      `INSERT INTO deployments (id, app, owner, number, state, created_at, updated_at, source_digest, body, keeps_turn, builds, is_rollback)
       SELECT ?6, ?1, ?2, max(coalesce(max(number), 0), ?7) + 1, 'pending', ?3, ?3, ?4, ?5, ?8, ?9, ?10 FROM deployments WHERE app = ?1`,
      [
        app,
        options.owner ?? '',
        this.time(),
        source?.digest ?? null,
        text,
        id,
        Number(options['force-over']),
        Number(options.lane === 'fifo'),
        Number(image === null),
        Number(body.rollback !== null),
      ],
    )
    this.write(id, [
      {
        type: 'state',
        from: null,
        state: 'pending',
        ...(reason && { reason }),
        ...(triggeredBy && { triggeredBy }),
      },
    ])
    this.#others.notices.queueHasChanged()
    return this.find(id)!
  }

  /** Claims it: the next epoch begins. */
  claimRow({ id }: Pick<Row, 'id'>): Claim {
    this.#others.costs.settle()
    this.run('UPDATE deployments SET epoch = epoch + 1, leased_until = ? WHERE id = ?', [
      this.time(leaseMs),
      id,
    ])
    const fresh = this.find(id)!

    return {
      deployment: toDeployment(fresh),
      epoch: fresh.epoch,
      rollout: fresh.rollout === null ? null : unpackJson(fresh.rollout),
      suspect: fresh.suspect !== null,
    }
  }

  /** Does what a rule says. */
  apply(row: Row, { to, patch, note }: Change): void {
    if (to) this.move(row, to, patch)
    else this.patch(row, row.state, patch)
    if (note) this.write(row.id, [{ type: 'note', text: note }])
  }

  move(row: Row, to: DeploymentState, { reason, ...patch }: Patch & { reason?: string }): void {
    if (!mayMove(row.state, to))
      throw new Error(`a deployment cannot go from ${row.state} to ${to}`)

    const isAtWork = to !== 'pending' && !isFinal(to)
    if (isAtWork !== (row.state !== 'pending')) this.#others.costs.settle()
    this.patch(row, to, patch)
    if (isFinal(to)) this.#others.previews.deploymentEnded(row.id, to, patch)
    const cleared = row.suspect !== null && clears(to, row.suspect)
    if (cleared) this.run('UPDATE deployments SET suspect = NULL WHERE id = ?', [row.id])
    this.write(row.id, [
      {
        type: 'state',
        from: row.state,
        state: to,
        ...(reason && { reason }),
        ...(patch.problem && { problem: patch.problem }),
        ...(patch.url && { url: patch.url }),
      },
    ])

    // It waits in the queue, has left its build slot, or has left its lane.
    const leftBuildSlot = to === 'deploying' && row.state !== 'pending'
    if (cleared || to === 'pending' || leftBuildSlot || isFinal(to))
      this.#others.notices.queueHasChanged()
  }

  patch(row: Row, state: DeploymentState, { rollout, build, release, ...patch }: Patch): void {
    const at = this.time()
    this.#others.quotas.countBuildTime(row)
    if (isFinal(state)) this.#others.secrets.erase(`deployment:${row.id}`)
    if (build)
      this.run('UPDATE deployments SET build_key = ?, build_good_until = ? WHERE id = ?', [
        keepWithin('The key of the build', build.key, sizeLimits.nameBytes),
        keepWithin('A time', build.validUntil ?? '', sizeLimits.nameBytes) || null,
        row.id,
      ])

    const body = patchedBody(row, patch)
    if (state !== row.state) Object.assign(body, phasesAfter(row, body, at))
    if (isFinal(state)) body.cost = this.#others.costs.end(row.id)
    if (release) {
      const of = { app: row.app, owner: row.owner, deployment: row.id, image: body.image }
      body.release = this.#others.releases.add(of, release)
    }

    this.run(
      'UPDATE deployments SET state = ?, updated_at = ?, ended_at = ?, body = ?, rollout = ?, builds = ? WHERE id = ?',
      [
        state,
        at,
        isFinal(state) ? at : null,
        bodyText(body, row.body),
        isFinal(state) ? null : rollout === undefined ? row.rollout : rolloutText(rollout),
        Number(body.image === null),
        row.id,
      ],
    )
  }

  renew(id: string): void {
    this.#others.costs.settle()
    this.run('UPDATE deployments SET leased_until = ? WHERE id = ?', [this.time(leaseMs), id])
  }

  write(id: string, events: NewEvent[]): void {
    this.#others.events.write(id, events, this.time())
  }

  /** Null when another runner has claimed it since, or it has ended. */
  rowIfHeld(holder: Holder): Row | null {
    const row = this.find(holder.id)
    return row && row.epoch === holder.epoch && !isFinal(row.state) ? row : null
  }

  find(id: string): Row | null {
    return this.first('SELECT * FROM deployments WHERE id = ?', [id])
  }

  unfinished(app: string, owner: string | null = null): Row | null {
    const isOf = 'app = ?1 AND (?2 IS NULL OR owner = ?2) AND ended_at IS NULL'
    return this.first(`SELECT * FROM deployments WHERE ${isOf} LIMIT 1`, [app, owner])
  }

  /** The app's newest deployment whose image has this build key and is still valid. */
  newestBuilt(app: string, buildKey: string): Row | null {
    return this.first(
      `SELECT * FROM deployments WHERE app = ? AND build_key = ? AND coalesce(build_good_until, '9') > ?
       ORDER BY number DESC LIMIT 1`,
      [app, buildKey, this.time()],
    )
  }

  /** Newest first. Loads one record at a time: they may be large. */
  page(app: string, page: PageRequest) {
    const newestFirst = this.prepare(
      'SELECT * FROM deployments WHERE app = ? AND number < ? ORDER BY number DESC',
    )
    const below = page.before === null ? Number.MAX_SAFE_INTEGER : Number(page.before)
    const rows = readRows(Row, seenRows(newestFirst.iterate(app, below), page.isSeen))
    return pageOf(rows, page.limit, ({ number }) => number)
  }

  /** Of all apps. */
  newest(limit: number): Row[] {
    const newestFirst = this.prepare('SELECT * FROM deployments ORDER BY rowid DESC')
    return pageOf(readRows(Row, newestFirst.iterate()), limit, ({ id }) => id).shown
  }

  first(sql: string, values: Value[]): Row | null {
    const row = this.prepare(sql).get(...values)
    return row ? readAs(Row, row) : null
  }

  all(sql: string, values: Value[] = []): Row[] {
    return [...readRows(Row, this.prepare(sql).all(...values))]
  }

  /** Does not load the records, which may be large. */
  ids(where: string, values: Value[] = []): string[] {
    return this.prepare(`SELECT id FROM deployments WHERE ${where}`)
      .all(...values)
      .map(({ id }) => String(id))
  }

  run(sql: string, values: Value[]): void {
    this.prepare(sql).run(...values)
  }

  prepare(sql: string) {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, known)
    return known
  }

  close(): void {
    this.#statements.clear()
  }
}
