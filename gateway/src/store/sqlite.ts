import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { finalStates, isFinal, type CancelWish, type Deployment, type DeploymentState } from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import { cancelled } from '../deployments/cancelled.ts'
import { mayMove, touchesMachines, workingStates } from '../deployments/states.ts'
import type { Claim, DeploymentPatch, DeploymentStore, NewDeployment } from '../deployments/store.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { openDatabase } from './open-database.ts'
import { SecretRows } from './secret-rows.ts'

type Row = {
  id: string
  app: string
  number: number
  state: DeploymentState
  created_at: string
  updated_at: string
  ended_at: string | null
  attempt: number
  epoch: number
  last_seq: number
  body: string
  rollout: string | null
}
type Body = Pick<
  Deployment,
  'options' | 'source' | 'plan' | 'image' | 'bases' | 'machines' | 'url' | 'problem' | 'cancel'
>
type Patch = DeploymentPatch & Partial<Pick<Body, 'cancel'>>
type Holder = { id: string; epoch: number }

const list = (states: readonly string[]) => states.map((state) => `'${state}'`).join(', ')

/** The store in one SQLite file (or `:memory:`). `now` gives milliseconds since 1970. */
export function openSqliteStore(path: string, now: () => number = Date.now): DeploymentStore & SecretStore {
  return new SqliteStore(openDatabase(path), now)
}

class SqliteStore implements DeploymentStore, SecretStore {
  readonly #db: DatabaseSync
  readonly #secrets: SecretRows
  readonly #now: () => number
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(db: DatabaseSync, now: () => number) {
    this.#db = db
    this.#secrets = new SecretRows(db)
    this.#now = now
  }

  async create(fresh: NewDeployment): Promise<Deployment> {
    return this.#transaction(() => {
      const former = fresh.idempotencyKey ? this.#sameRequest(fresh, fresh.idempotencyKey) : null
      if (former) return former
      const at = this.#time()
      const body: Body = {
        options: fresh.options,
        source: fresh.source,
        plan: null,
        image: fresh.image ?? null,
        bases: {},
        machines: [],
        url: null,
        problem: null,
        cancel: null,
      }
      this.#run(
        `INSERT INTO deployments (id, app, number, state, created_at, updated_at, source_digest, body)
         SELECT ?, ?, coalesce(max(number), 0) + 1, 'pending', ?, ?, ?, ? FROM deployments WHERE app = ?`,
        [fresh.id, fresh.app, at, at, fresh.source?.digest ?? null, JSON.stringify(body), fresh.app],
      )
      for (const secret of fresh.secrets ?? []) this.#secrets.put(`deployment:${fresh.id}`, secret, at)
      this.#write(fresh.id, [{ type: 'state', from: null, state: 'pending' }])
      const older = this.#all(`SELECT * FROM deployments WHERE app = ? AND state = 'pending' AND id <> ?`, [
        fresh.app,
        fresh.id,
      ])
      for (const row of older) {
        const problem = new Problem('superseded', `Deployment ${fresh.id} came later and took its place.`).body()
        this.#move(row, 'superseded', { problem })
      }
      return toDeployment(this.#row(fresh.id)!)
    })
  }

  async find(id: string): Promise<Deployment | null> {
    const row = this.#row(id)
    return row ? toDeployment(row) : null
  }

  async list(app: string, page: { limit: number; before: string | null }) {
    const rows = this.#all('SELECT * FROM deployments WHERE app = ? AND number < ? ORDER BY number DESC LIMIT ?', [
      app,
      page.before === null ? Number.MAX_SAFE_INTEGER : Number(page.before),
      page.limit + 1,
    ])
    const shown = rows.slice(0, page.limit)
    return {
      deployments: shown.map(toDeployment),
      next: rows.length > shown.length ? String(shown.at(-1)!.number) : null,
    }
  }

  async imageOf(app: string, buildKey: string): Promise<Deployment | null> {
    const [row] = this.#all(
      `SELECT * FROM deployments WHERE app = ? AND build_key = ? AND coalesce(build_good_until, '9') > ?
       ORDER BY number DESC LIMIT 1`,
      [app, buildKey, this.#time()],
    )
    return row ? toDeployment(row) : null
  }

  async claim(): Promise<Claim | null> {
    return this.#transaction(() => {
      const [row] = this.#all(
        `SELECT * FROM deployments AS d WHERE state = 'pending' AND ended_at IS NULL AND NOT EXISTS (
           SELECT 1 FROM deployments WHERE app = d.app AND ended_at IS NULL AND state IN (${list(workingStates)}))
         ORDER BY created_at, number LIMIT 1`,
      )
      if (!row) return null
      this.#run('UPDATE deployments SET attempt = attempt + 1 WHERE id = ?', [row.id])
      const { image } = JSON.parse(row.body) as Body
      return this.#take(row, () => this.#move(row, image ? 'deploying' : 'fetching', {}))
    })
  }

  async advance(
    holder: Holder,
    from: DeploymentState,
    to: DeploymentState,
    patch: DeploymentPatch & { reason?: string } = {},
  ) {
    return this.#transaction(() => {
      const row = this.#held(holder)
      if (!row || row.state !== from || (isCancelled(row) && !isFinal(to) && !touchesMachines(from))) return false
      this.#move(row, to, patch)
      return true
    })
  }

  async wishCancel(id: string, asked: Omit<CancelWish, 'at'>): Promise<Deployment> {
    return this.#transaction(() => {
      const row = this.#row(id)
      if (!row) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
      if (isFinal(row.state) || isCancelled(row)) return toDeployment(row)
      if (touchesMachines(row.state) && !asked.abort)
        throw new Problem(
          'too-late',
          `Deployment ${id} is ${row.state}: machines have been touched. With abort=true it stops at its next safe point and they are put back.`,
        )
      const cancel: CancelWish = { at: this.#time(), ...asked }
      const problem = cancelled(cancel).body()
      if (row.state === 'pending') this.#move(row, 'cancelled', { cancel, problem })
      else {
        this.#patch(row, row.state, { cancel })
        this.#write(id, [{ type: 'note', text: problem.detail }])
      }
      return toDeployment(this.#row(id)!)
    })
  }

  async amend(holder: Holder, patch: DeploymentPatch) {
    return this.#transaction(() => {
      const row = this.#held(holder)
      if (row) this.#patch(row, row.state, patch)
      return row !== null
    })
  }

  async append(holder: Holder, events: NewEvent[]) {
    return this.#transaction(() => {
      if (!this.#held(holder)) return false
      this.#write(holder.id, events)
      return true
    })
  }

  async recover(reason: string): Promise<Claim[]> {
    return this.#transaction(() => {
      const left = this.#all(
        `SELECT * FROM deployments WHERE ended_at IS NULL AND state IN (${list(workingStates)}) ORDER BY created_at`,
      )
      return left.flatMap((row) => {
        if (!touchesMachines(row.state)) {
          const { cancel } = JSON.parse(row.body) as Body
          if (cancel) this.#move(row, 'cancelled', { problem: cancelled(cancel).body() })
          else this.#take(row, () => this.#move(row, 'pending', { reason }))
          return []
        }
        return this.#take(row, () =>
          this.#write(row.id, [{ type: 'note', text: `${reason}; looking at the machines and going on.` }]),
        )
      })
    })
  }

  async eventsAfter(id: string, after: number, limit: number, limitBytes = Infinity): Promise<DeploymentEvent[]> {
    const rows = this.#prepare('SELECT seq, at, body FROM events WHERE deployment = ? AND seq > ? ORDER BY seq LIMIT ?')
    const events: DeploymentEvent[] = []
    let sizeBytes = 0
    for (const { seq, at, body } of rows.iterate(id, after, limit) as Iterable<Record<string, unknown>>) {
      events.push({ seq: Number(seq), at: String(at), ...(JSON.parse(String(body)) as NewEvent) })
      sizeBytes += String(body).length
      if (sizeBytes >= limitBytes) break
    }
    return events
  }

  async changed(id: string, after: number, signal: AbortSignal): Promise<void> {
    const row = this.#row(id)
    if (!row || row.last_seq > after || row.ended_at !== null || signal.aborted) return
    await once(this.#changes, id, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  async sourcesInUse(keep: number): Promise<Set<string>> {
    const rows = this.#prepare(
      `SELECT DISTINCT source_digest FROM (
         SELECT source_digest, ended_at, row_number() OVER (PARTITION BY app ORDER BY number DESC) AS age
         FROM deployments WHERE source_digest IS NOT NULL)
       WHERE ended_at IS NULL OR age <= ?`,
    ).all(keep)
    return new Set(rows.map((row) => String(row['source_digest'])))
  }

  async putSecret(owner: SecretOwner, secret: SealedSecret) {
    return this.#secrets.put(owner, secret, this.#time())
  }

  async removeSecret(owner: SecretOwner, name: string) {
    return this.#secrets.remove(owner, name)
  }

  async secretsOf(owner: SecretOwner) {
    return this.#secrets.of(owner)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#statements.clear()
    this.#db.close()
  }

  /** The deployment that this key made, if any; else the key is written down for the one that comes. */
  #sameRequest({ id, app, options, source, image, secretsMark }: NewDeployment, key: string): Deployment | null {
    const asked = JSON.stringify([
      options,
      source?.digest ?? null,
      image?.digest ?? null,
      ...(secretsMark ? [secretsMark] : []),
    ])
    const fingerprint = createHash('sha256').update(asked).digest('hex')
    const dayAgo = new Date(this.#now() - 24 * 3_600_000).toISOString()
    this.#run('DELETE FROM idempotency_keys WHERE at < ?', [dayAgo])
    const known = this.#prepare('SELECT fingerprint, deployment FROM idempotency_keys WHERE app = ? AND key = ?').get(
      app,
      key,
    )
    if (known && known['fingerprint'] !== fingerprint)
      throw new Problem(
        'idempotency-mismatch',
        `The Idempotency-Key was used for another request to ${app}; choose a new one.`,
      )
    if (known) return toDeployment(this.#row(String(known['deployment']))!)
    this.#run('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)', [app, key, fingerprint, id, this.#time()])
    return null
  }

  /** The next epoch begins: `change` is its first act. */
  #take(row: Row, change: () => void): Claim {
    change()
    this.#run('UPDATE deployments SET epoch = epoch + 1 WHERE id = ?', [row.id])
    const fresh = this.#row(row.id)!
    return {
      deployment: toDeployment(fresh),
      epoch: fresh.epoch,
      rollout: fresh.rollout === null ? null : JSON.parse(fresh.rollout),
    }
  }

  #move(row: Row, to: DeploymentState, { reason, ...patch }: Patch & { reason?: string }): void {
    if (!mayMove(row.state, to)) throw new Error(`a deployment cannot go from ${row.state} to ${to}`)
    this.#patch(row, to, patch)
    this.#write(row.id, [
      {
        type: 'state',
        from: row.state,
        state: to,
        ...(reason && { reason }),
        ...(patch.problem && { problem: patch.problem }),
        ...(patch.url && { url: patch.url }),
      },
    ])
  }

  #patch(row: Row, state: DeploymentState, { rollout, build, ...patch }: Patch): void {
    const at = this.#time()
    if (isFinal(state)) this.#secrets.erase(`deployment:${row.id}`)
    if (build)
      this.#run('UPDATE deployments SET build_key = ?, build_good_until = ? WHERE id = ?', [
        build.key,
        build.goodUntil,
        row.id,
      ])
    const body: Body = { ...(JSON.parse(row.body) as Body), ...patch }
    this.#run('UPDATE deployments SET state = ?, updated_at = ?, ended_at = ?, body = ?, rollout = ? WHERE id = ?', [
      state,
      at,
      isFinal(state) ? at : null,
      JSON.stringify(body),
      rollout === undefined ? row.rollout : JSON.stringify(rollout),
      row.id,
    ])
  }

  #write(id: string, events: NewEvent[]): void {
    const at = this.#time()
    let seq = this.#row(id)!.last_seq
    for (const event of events)
      this.#run('INSERT INTO events (deployment, seq, at, body) VALUES (?, ?, ?, ?)', [
        id,
        ++seq,
        at,
        JSON.stringify(event),
      ])
    this.#run('UPDATE deployments SET last_seq = ? WHERE id = ?', [seq, id])
    queueMicrotask(() => this.#changes.emit(id)) // after the commit: the transaction is synchronous
  }

  #held(holder: Holder): Row | null {
    const row = this.#row(holder.id)
    return row && row.epoch === holder.epoch && !finalStates.some((state) => state === row.state) ? row : null
  }

  #row(id: string): Row | null {
    return this.#all('SELECT * FROM deployments WHERE id = ?', [id])[0] ?? null
  }

  #transaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      this.#db.exec('ROLLBACK')
      throw error
    }
  }

  #all(sql: string, values: (string | number | null)[] = []): Row[] {
    return this.#prepare(sql).all(...values) as unknown as Row[]
  }

  #run(sql: string, values: (string | number | null)[]): void {
    this.#prepare(sql).run(...values)
  }

  #prepare(sql: string) {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, known)
    return known
  }

  #time(): string {
    return new Date(this.#now()).toISOString()
  }
}

const isCancelled = (row: Row): boolean => (JSON.parse(row.body) as Body).cancel !== null

function toDeployment(row: Row): Deployment {
  return {
    id: row.id,
    number: row.number,
    app: row.app,
    state: row.state,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
    attempt: row.attempt,
    ...(JSON.parse(row.body) as Body),
  }
}
