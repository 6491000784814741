import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { finalStates, isFinal, type CancelWish, type Deployment, type DeploymentState } from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import { type OwnSettings, patchSettings, withDefaults } from '#api/app-settings.ts'
import { Problem } from '#api/problem.ts'
import { cancelled } from '../deployments/cancelled.ts'
import { type QueueLimits, worthTelling } from '../deployments/queue.ts'
import { mayMove, touchesMachines, workingStates } from '../deployments/states.ts'
import { stopWish, superseded } from '../deployments/stop-wish.ts'
import {
  leaseMs,
  type Claim,
  type DeploymentPatch,
  type DeploymentStore,
  type KeepSources,
  type NewDeployment,
} from '../deployments/store.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { AppRows } from './app-rows.ts'
import { dropLogs } from './log-retention.ts'
import { openDatabase } from './open-database.ts'
import { ReleaseRows } from './release-rows.ts'
import { RolloutRows } from './rollout-rows.ts'
import { QueueRows } from './queue-rows.ts'
import { SecretRows } from './secret-rows.ts'
import { SourceRows } from './source-rows.ts'

type Row = {
  id: string
  app: string
  owner: string
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
  log_dropped_at: string | null
}
type Body = Pick<
  Deployment,
  | 'options'
  | 'source'
  | 'plan'
  | 'image'
  | 'bases'
  | 'machines'
  | 'url'
  | 'problem'
  | 'cancel'
  | 'supersededBy'
  | 'from'
  | 'release'
>
type Patch = DeploymentPatch & Partial<Pick<Body, 'cancel' | 'supersededBy'>>
type Holder = { id: string; epoch: number }

/** For tests of something else. */
const noLimits: QueueLimits = { builds: Infinity, appBuilds: Infinity, deploys: Infinity }

const list = (states: readonly string[]) => states.map((state) => `'${state}'`).join(', ')

/**
 * The store in one SQLite file (or `:memory:`). `now` gives milliseconds since 1970. `alone` (see `lockVolume`): what is at
 * work at the start is nobody's, whatever its lease says.
 */
export function openSqliteStore(
  path: string,
  now: () => number = Date.now,
  alone = true,
): DeploymentStore & SecretStore {
  return new SqliteStore(openDatabase(path), now, alone)
}

class SqliteStore implements DeploymentStore, SecretStore {
  readonly #db: DatabaseSync
  readonly releases: ReleaseRows
  readonly rollouts: RolloutRows
  readonly #secrets: SecretRows
  readonly #apps: AppRows
  readonly #queue: QueueRows
  readonly #sources: SourceRows
  readonly #now: () => number
  readonly #alone: boolean
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(db: DatabaseSync, now: () => number, alone: boolean) {
    this.#db = db
    this.#secrets = new SecretRows(db)
    this.#apps = new AppRows(db)
    this.#queue = new QueueRows(db)
    this.#sources = new SourceRows(db)
    this.#now = now
    this.#alone = alone
    this.releases = new ReleaseRows(db, () => this.#time())
    this.rollouts = new RolloutRows(db, now)
  }

  async create(fresh: NewDeployment): Promise<Deployment> {
    return this.#transaction(() => {
      const former = fresh.idempotencyKey ? this.#sameRequest(fresh, fresh.idempotencyKey) : null
      if (former) return former
      const at = this.#time()
      const { app } = fresh
      const { lane = 'latest', ...settings } = this.#apps.settings(app)
      const options = withDefaults(fresh.options, { lane, ...(!fresh.resolved && settings) })
      const owner = options.owner ?? ''
      const others = this.#unfinished({ app, owner })
      if (options.lane === 'reject' && others[0]) throw laneBusy(others[0])
      const body: Body = {
        options,
        source: fresh.source,
        from: fresh.from ?? null,
        plan: null,
        image: fresh.image ?? null,
        bases: {},
        machines: [],
        url: null,
        release: null,
        problem: null,
        cancel: null,
        supersededBy: null,
      }
      this.#run(
        `INSERT INTO deployments (id, app, owner, number, state, created_at, updated_at, source_digest, body)
         SELECT ?6, ?1, ?2, coalesce(max(number), 0) + 1, 'pending', ?3, ?3, ?4, ?5 FROM deployments WHERE app = ?1`,
        [app, owner, at, fresh.source?.digest ?? null, JSON.stringify(body), fresh.id],
      )
      this.#apps.add(app)
      for (const secret of fresh.secrets ?? []) this.#secrets.put(`deployment:${fresh.id}`, secret, at)
      this.#write(fresh.id, [{ type: 'state', from: null, state: 'pending' }])
      const made = this.#row(fresh.id)!
      for (const row of others) this.#giveWay(row, made)
      return toDeployment(made)
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

  async claim(limits: QueueLimits = noLimits): Promise<Claim | null> {
    return this.#transaction(() => {
      for (;;) {
        const { next } = this.#queue.arranged(limits)
        if (!next) return null
        const row = this.#row(next.id)!
        if (!next.builds && this.#fenced(row)) continue
        this.#run('UPDATE deployments SET attempt = attempt + 1, waiting = NULL WHERE id = ?', [row.id])
        this.#apps.served(row.app)
        return this.#take(row, () => this.#move(row, next.builds ? 'fetching' : 'deploying', {}))
      }
    })
  }

  async tellWaiting(limits: QueueLimits | null): Promise<void> {
    return this.#transaction(() => {
      for (const { id, ...place } of this.#queue.arranged(limits).places) {
        const told = this.#queue.told(id)
        if (!worthTelling(place, told)) continue
        this.#queue.tell(id, { for: place.for, place: place.place, times: (told?.times ?? 0) + 1 })
        this.#write(id, [{ type: 'waiting', ...place }])
      }
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
      if (!row || row.state !== from || (stopWish(bodyOf(row)) && !isFinal(to) && !touchesMachines(from))) return false
      if (to === 'deploying' && this.#fenced(row)) return false
      this.#move(row, to, patch)
      if (to === 'pending') this.#letNewerPass(row)
      return true
    })
  }

  async wishCancel(id: string, asked: Omit<CancelWish, 'at'>): Promise<Deployment> {
    return this.#transaction(() => {
      const row = this.#row(id)
      if (!row) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
      if (isFinal(row.state) || bodyOf(row).cancel) return toDeployment(row)
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

  async renew(holder: Holder) {
    return this.#transaction(() => {
      if (!this.#held(holder)) return false
      this.#run('UPDATE deployments SET leased_until = ? WHERE id = ?', [this.#time(leaseMs), holder.id])
      return true
    })
  }

  async recover(reason: string): Promise<Claim[]> {
    return this.#transaction(() => {
      const left = this.#all(
        `SELECT * FROM deployments WHERE ended_at IS NULL AND state IN (${list(workingStates)})
           AND coalesce(leased_until, '') < ? ORDER BY created_at`,
        [this.#alone ? '9' : this.#time()],
      )
      return left.flatMap((row) => {
        if (!touchesMachines(row.state)) {
          const problem = stopWish(bodyOf(row))?.body()
          if (problem) this.#move(row, bodyOf(row).cancel ? 'cancelled' : 'superseded', { problem })
          else this.#take(row, () => this.#move(row, 'pending', { reason }))
          if (!problem) this.#letNewerPass(row)
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

  async sourcesInUse(keep: KeepSources): Promise<Set<string>> {
    return this.#sources.inUse(keep, this.#now())
  }

  async appSettings(app: string): Promise<OwnSettings> {
    return this.#apps.settings(app)
  }

  async changeAppSettings(app: string, patch: unknown): Promise<OwnSettings> {
    return this.#transaction(() => {
      const settings = patchSettings(this.#apps.settings(app), patch)
      this.#apps.set(app, settings)
      return settings
    })
  }

  dropLogs({ perApp, days }: { perApp: number; days: number }, signal: AbortSignal): Promise<number> {
    const endedBefore = this.#time(-days * 86_400_000)
    const transaction = <T>(work: () => T) => this.#transaction(work)
    return dropLogs(this.#db, transaction, { perApp, endedBefore, at: this.#time() }, signal)
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
  #sameRequest(fresh: NewDeployment, key: string): Deployment | null {
    const { id, app, options, source, image, secretsMark } = fresh
    const request = fresh.asked ?? [options, source?.digest, image?.digest, secretsMark]
    // Without what is not given, so that an option which a later gateway adds makes no other request of it.
    const asked = JSON.stringify(request, (_, value: unknown) => value ?? undefined)
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
    this.#run('UPDATE deployments SET epoch = epoch + 1, leased_until = ? WHERE id = ?', [this.#time(leaseMs), row.id])
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

  #patch(row: Row, state: DeploymentState, { rollout, build, release, ...patch }: Patch): void {
    const at = this.#time()
    if (isFinal(state)) this.#secrets.erase(`deployment:${row.id}`)
    if (build)
      this.#run('UPDATE deployments SET build_key = ?, build_good_until = ? WHERE id = ?', [
        build.key,
        build.goodUntil,
        row.id,
      ])
    const body: Body = { ...bodyOf(row), ...patch }
    if (release) {
      const of = { app: row.app, owner: row.owner, deployment: row.id, image: body.image }
      body.release = this.releases.add(of, release)
    }
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
    const [row] = this.#all('UPDATE deployments SET last_seq = last_seq + ? WHERE id = ? RETURNING last_seq', [
      events.length,
      id,
    ])
    let seq = row!.last_seq - events.length
    for (const event of events)
      this.#run('INSERT INTO events (deployment, seq, at, body) VALUES (?, ?, ?, ?)', [
        id,
        ++seq,
        at,
        JSON.stringify(event),
      ])
    queueMicrotask(() => this.#changes.emit(id)) // after the commit: the transaction is synchronous
  }

  /** Those of a lane that have not ended, oldest first. */
  #unfinished({ app, owner }: Pick<Row, 'app' | 'owner'>): Row[] {
    return this.#all('SELECT * FROM deployments WHERE app = ? AND owner = ? AND ended_at IS NULL ORDER BY number', [
      app,
      owner,
    ])
  }

  /** What a newer deployment of the lane does to an older one. */
  #giveWay(older: Row, newer: Row): void {
    const { options } = bodyOf(older)
    const { lane, deploy } = bodyOf(newer).options
    // What asked to wait its turn keeps it, and what only builds takes no deploy's place.
    if (lane === 'fifo' || lane === 'reject' || options.lane === 'fifo' || (options.deploy && !deploy)) return
    if (older.state === 'pending') this.#move(older, 'superseded', overtaken(newer))
    else if (lane === 'cancel-running' && !touchesMachines(older.state) && !stopWish(bodyOf(older))) {
      this.#patch(older, older.state, { supersededBy: newer.id })
      this.#write(older.id, [{ type: 'note', text: superseded(newer.id).message }])
    }
  }

  /** Back in the queue, it finds who came meanwhile. */
  #letNewerPass({ id }: Row): void {
    const row = this.#row(id)!
    if (this.#fenced(row)) return
    const newer = this.#unfinished(row).find(({ number }) => number > row.number)
    if (newer) this.#giveWay(row, newer)
  }

  /** The fence: where a newer deployment of the lane runs, or is being brought to machines, this one ends here. */
  #fenced(row: Row): boolean {
    const [newer] = this.#all(
      `SELECT * FROM deployments
       WHERE app = ? AND number > ? AND owner = ? AND state IN ('deploying', 'verifying', 'live') LIMIT 1`,
      [row.app, row.number, row.owner],
    )
    if (newer) this.#move(row, 'superseded', overtaken(newer))
    return newer !== undefined
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

  #time(laterMs = 0): string {
    return new Date(this.#now() + laterMs).toISOString()
  }
}

const overtaken = ({ id }: Row): Patch => ({ supersededBy: id, problem: superseded(id).body() })

function laneBusy({ id, app, owner, state }: Row): Problem {
  const detail = `Deployment ${id} of ${app}${owner && ` for ${owner}`} is ${state}. Wait for its end, or send this with lane=fifo.`
  return new Problem('lane-busy', detail, { facts: { deployment: id, state } })
}

/** What has no column; records of older gateways lack some of it. */
const bodyOf = (row: Row): Body => ({ from: null, release: null, supersededBy: null, ...JSON.parse(row.body) })

function toDeployment(row: Row): Deployment {
  return {
    id: row.id,
    number: row.number,
    app: row.app,
    owner: row.owner || null,
    state: row.state,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
    attempt: row.attempt,
    logDroppedAt: row.log_dropped_at,
    ...bodyOf(row),
  }
}
