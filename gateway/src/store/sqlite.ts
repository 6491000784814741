import { once } from 'node:events'
import type { DatabaseSync } from 'node:sqlite'
import { type OwnSettings, patchSettings, withDefaults } from '#api/options/app-settings.ts'
import {
  isFinal,
  type CancelRequest,
  type Deployment,
  type DeploymentState,
} from '#api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { Problem } from '#api/problem.ts'
import { cutCancel } from '../deployments/cut-texts.ts'
import { type QueueLimits, shouldAnnounce } from '../deployments/queue.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { keepWithin, sizeLimits } from '../deployments/size-limits.ts'
import { failureIn, touchesMachines, workingStates } from '../deployments/states.ts'
import { cancelled, stopReason } from '../deployments/stop.ts'
import {
  leaseMs,
  type Claim,
  type DeploymentPatch,
  type DeploymentStore,
  type KeepSources,
  type Life,
  type NewDeployment,
} from '../deployments/store.ts'
import { isFull, noRoom } from './full-disk.ts'
import { inParts } from './in-parts.ts'
import { dropLogs } from './log-retention.ts'
import { openDatabase } from './open-database.ts'
import { AppRows } from './rows/app-rows.ts'
import {
  bodyOf,
  bodyText,
  damaged,
  DeploymentRows,
  isReadable,
  mayBeMissing,
  toDeployment,
  touched,
  type Body,
  type Holder,
  type Row,
} from './rows/deployment-rows.ts'
import { LaneRows } from './rows/lane-rows.ts'
import { QueueRows } from './rows/queue-rows.ts'
import { refuseFullQueue } from './rows/queue-size.ts'
import { ReleaseRows } from './rows/release-rows.ts'
import { knownKey, madeByKey, noteKey } from './rows/request-keys.ts'
import { RolloutRows } from './rows/rollout-rows.ts'
import { SecretRows } from './rows/secret-rows.ts'
import { SourceRows } from './rows/source-rows.ts'
import { suspected, SuspectRows } from './rows/suspect-rows.ts'
import { pageOf, type StoreTools } from './store-tools.ts'

/** The default, for tests that are not about limits. */
const noLimits: QueueLimits = { builds: Infinity, appBuilds: Infinity, deploys: Infinity }

const list = (states: readonly string[]) => states.map((state) => `'${state}'`).join(', ')

export type StoreSettings = {
  /** Milliseconds since 1970. */
  now: () => number
  /**
   * True if this gateway holds the volume alone (see `lockVolume`). Then no other runner has a
   * deployment at the start, whatever its lease says.
   */
  alone: boolean
  /** Called when the disk is full. Returns whether another attempt makes sense. */
  makeRoom: () => boolean
}

/** The store in one SQLite file (or `:memory:`). */
export function openSqliteStore(
  path: string,
  settings: Partial<StoreSettings> = {},
): DeploymentStore & SecretStore {
  return new SqliteStore(openDatabase(path), {
    now: Date.now,
    alone: true,
    makeRoom: () => false,
    ...settings,
  })
}

class SqliteStore implements DeploymentStore, SecretStore {
  readonly #db: DatabaseSync
  readonly releases: ReleaseRows
  readonly rollouts: RolloutRows
  readonly #rows: DeploymentRows
  readonly #lanes: LaneRows
  readonly #secrets: SecretRows
  readonly #apps: AppRows
  readonly #queue: QueueRows
  readonly #sources: SourceRows
  readonly #suspects: SuspectRows
  readonly #settings: StoreSettings

  constructor(db: DatabaseSync, settings: StoreSettings) {
    this.#db = db
    this.#settings = settings
    this.#secrets = new SecretRows(db)
    this.#apps = new AppRows(db)
    this.#queue = new QueueRows(db)
    this.#sources = new SourceRows(db)
    const tools: StoreTools = {
      time: (laterMs) => this.#rows.time(laterMs),
      transaction: (work) => this.#transaction(work),
    }
    this.releases = new ReleaseRows(db, tools)
    this.rollouts = new RolloutRows(db, tools, () => this.#suspects)
    this.#rows = new DeploymentRows(
      db,
      { secrets: this.#secrets, releases: this.releases },
      settings.now,
    )
    this.#lanes = new LaneRows(this.#rows)
    this.#suspects = new SuspectRows(db, this.#rows)
  }

  async create(fresh: NewDeployment): Promise<Deployment> {
    return this.#transaction(() => {
      const {
        id,
        app,
        source,
        image = null,
        from = null,
        secrets = [],
        secretsFingerprint,
        idempotencyKey,
      } = fresh
      const asked = fresh.asked ?? [
        fresh.options,
        source?.digest,
        image?.digest,
        secretsFingerprint,
      ]

      const key = idempotencyKey ? { app, key: idempotencyKey, asked } : null
      const previous = key && madeByKey(this.#rows, key)
      if (previous) return toDeployment(this.#rows.find(previous)!)

      for (const name of [id, app, fresh.options.owner, idempotencyKey])
        keepWithin('A name', name ?? '', sizeLimits.nameBytes)
      keepWithin('The options', JSON.stringify(fresh.options), sizeLimits.optionsBytes)

      const at = this.#rows.time()
      const { lane = 'latest', ...settings } = this.#apps.settings(app)
      const options = withDefaults(fresh.options, { lane, ...(!fresh.resolved && settings) })
      const owner = options.owner ?? ''

      // A `fifo` deployment supersedes nothing: do not load the whole lane, which may be long.
      const others = options.lane === 'fifo' ? [] : this.#lanes.passing({ app, owner })
      const busy = options.lane === 'reject' ? this.#lanes.oldest({ app, owner }) : null
      if (busy) throw laneBusy(busy)

      const body: Body = {
        options,
        source,
        from,
        plan: null,
        image,
        bases: {},
        machines: [],
        url: null,
        release: null,
        problem: null,
        cancel: null,
        supersededBy: null,
      }

      const text = bodyText(body)
      refuseFullQueue(this.#rows, app, Buffer.byteLength(text))

      const keepsTurn = Number(options.lane === 'fifo')
      this.#rows.run(
        `INSERT INTO deployments (id, app, owner, number, state, created_at, updated_at, source_digest, body, keeps_turn, builds)
         SELECT ?6, ?1, ?2, max(coalesce(max(number), 0), ?7) + 1, 'pending', ?3, ?3, ?4, ?5, ?8, ?9 FROM deployments WHERE app = ?1`,
        [
          app,
          owner,
          at,
          source?.digest ?? null,
          text,
          id,
          Number(options['force-over']),
          keepsTurn,
          Number(image === null),
        ],
      )

      this.#apps.add(app)
      for (const secret of secrets) this.#secrets.put(`deployment:${id}`, secret, at)
      if (key) noteKey(this.#rows, key, id)
      this.#rows.write(id, [{ type: 'state', from: null, state: 'pending' }])

      const made = this.#rows.find(id)!
      for (const row of others) this.#lanes.supersede(row, made)
      return toDeployment(made)
    })
  }

  async findByIdempotencyKey(
    app: string,
    { asked, idempotencyKey: key }: Pick<NewDeployment, 'asked' | 'idempotencyKey'>,
  ) {
    const id = key ? madeByKey(this.#rows, { app, key, asked }) : null
    return id === null ? null : toDeployment(this.#rows.find(id)!)
  }

  async unfinished(app: string) {
    const [row] = this.#rows.all(
      'SELECT * FROM deployments WHERE app = ? AND ended_at IS NULL LIMIT 1',
      [app],
    )
    return row ? toDeployment(row) : null
  }

  async refuseBusyLane({
    app,
    options: { owner, lane },
    idempotencyKey: key,
  }: Pick<NewDeployment, 'app' | 'options' | 'idempotencyKey'>) {
    if (key && knownKey(this.#rows, app, key)) return
    refuseFullQueue(this.#rows, app, 0)
    if ((lane ?? this.#apps.settings(app).lane) !== 'reject') return
    const busy = this.#lanes.oldest({ app, owner: owner ?? '' })
    if (busy) throw laneBusy(busy)
  }

  async find(id: string): Promise<Deployment | null> {
    const row = this.#rows.find(id)
    return row ? toDeployment(row) : null
  }

  async list(app: string, page: { limit: number; before: string | null }) {
    const newestFirst =
      'SELECT * FROM deployments WHERE app = ? AND number < ? ORDER BY number DESC LIMIT ?'
    const before = page.before === null ? Number.MAX_SAFE_INTEGER : Number(page.before)
    const rows = this.#rows
      .prepare(newestFirst)
      .iterate(app, before, page.limit + 1) as Iterable<unknown>
    const { shown, next } = pageOf(rows as Iterable<Row>, page.limit, ({ number }) => number)
    return { deployments: shown.map(toDeployment), next }
  }

  async imageOf(app: string, buildKey: string): Promise<Deployment | null> {
    const [row] = this.#rows.all(
      `SELECT * FROM deployments WHERE app = ? AND build_key = ? AND coalesce(build_good_until, '9') > ?
       ORDER BY number DESC LIMIT 1`,
      [app, buildKey, this.#rows.time()],
    )
    return row ? toDeployment(row) : null
  }

  async claim(limits: QueueLimits | null = noLimits): Promise<Claim | null> {
    return this.#transaction(() => {
      if (this.#suspects.any()) return this.#claimSuspect(limits)
      for (;;) {
        const { next } = this.#queue.scheduled(limits)
        if (!next) return null
        const row = this.#rows.find(next.id)!
        if (!next.builds && this.#lanes.fenced(row)) continue
        return this.#takeFromQueue(row, next.builds)
      }
    })
  }

  #claimSuspect(limits: QueueLimits | null): Claim | null {
    for (const row of this.#suspects.inTurn()) {
      if (row.state !== 'pending')
        return this.#rows.take(row, () =>
          this.#rows.write(row.id, [
            { type: 'note', text: 'Alone at work now; looking at the machines and going on.' },
          ]),
        )
      const builds = bodyOf(row).image === null
      if (limits && (builds || !this.#lanes.fenced(row))) return this.#takeFromQueue(row, builds)
    }
    return null
  }

  #takeFromQueue(row: Row, builds: boolean): Claim {
    this.#rows.run('UPDATE deployments SET attempt = attempt + 1, waiting = NULL WHERE id = ?', [
      row.id,
    ])
    this.#apps.served(row.app)
    return this.#rows.take(row, () => this.#rows.move(row, builds ? 'fetching' : 'deploying', {}))
  }

  async expireQueued(limitMs: number): Promise<void> {
    const detail = `It waited in the queue for longer than ${limitMs / 1000} s.`
    const problem = new Problem('time-limit', detail, {
      facts: { state: 'pending', limitMs },
    }).body()
    const late = this.#rows.ids(`state = 'pending' AND ended_at IS NULL AND updated_at < ?`, [
      this.#rows.time(-limitMs),
    ])
    await this.#inParts(late, (id) => {
      const row = this.#rows.find(id)
      if (row?.state === 'pending') this.#rows.move(row, 'build_failed', { problem })
    })
  }

  async publishQueuePositions(limits: QueueLimits | null): Promise<void> {
    const { places } = this.#transaction(() => {
      const suspects = this.#suspects.any() ? this.#suspects.waiting().map(({ id }) => id) : null
      return this.#queue.scheduled(limits, suspects)
    })
    const isWorth = ({ id, ...place }: (typeof places)[number]) =>
      shouldAnnounce(place, this.#queue.lastNotice(id))
    await this.#inParts(places, ({ id, ...place }) => {
      // It left the queue while others were updated.
      if (!isWorth({ id, ...place }) || !this.#queue.waits(id)) return
      const times = (this.#queue.lastNotice(id)?.times ?? 0) + 1
      this.#queue.recordNotice(id, { for: place.for, place: place.place, times })
      this.#rows.write(id, [{ type: 'waiting', ...place }])
    })
  }

  async advance(
    holder: Holder,
    from: DeploymentState,
    to: DeploymentState,
    patch: DeploymentPatch & { reason?: string } = {},
  ) {
    return this.#transaction(() => {
      const row = this.#rows.held(holder)
      if (
        !row ||
        row.state !== from ||
        (stopReason(bodyOf(row)) && !isFinal(to) && !touchesMachines(from))
      )
        return false

      if (to === 'deploying' && this.#lanes.fenced(row)) return false

      this.#rows.move(row, to, patch)
      if (to === 'pending') this.#lanes.applyNewerArrivals(row)
      return true
    })
  }

  async requestCancel(id: string, asked: Omit<CancelRequest, 'at'>): Promise<Deployment> {
    return this.#transaction(() => {
      const row = this.#rows.find(id)
      if (!row) throw new Problem('deployment-not-found', `There is no deployment ${id}.`)
      if (isFinal(row.state) || bodyOf(row).cancel) return toDeployment(row)
      if (touched(row) && !asked.abort)
        throw new Problem(
          'cancel-too-late',
          `Deployment ${id} is ${row.state}: machines have been touched. With abort=true it stops at its next safe point and they are put back.`,
        )

      const cancel: CancelRequest = cutCancel({ at: this.#rows.time(), ...asked })
      const problem = cancelled(cancel).body()
      if (row.state === 'pending') this.#rows.move(row, 'cancelled', { cancel, problem })
      else {
        this.#rows.patch(row, row.state, { cancel })
        this.#rows.write(id, [{ type: 'note', text: problem.detail }])
      }

      return toDeployment(this.#rows.find(id)!)
    })
  }

  async amend(holder: Holder, patch: DeploymentPatch) {
    return this.#transaction(() => {
      const row = this.#rows.held(holder)
      if (row) this.#rows.patch(row, row.state, patch)
      return row !== null
    })
  }

  async append(holder: Holder, events: NewEvent[]) {
    return this.#transaction(() => {
      if (!this.#rows.held(holder)) return false
      this.#rows.write(holder.id, events)
      return true
    })
  }

  async renew(holder: Holder) {
    return this.#transaction(() => {
      if (!this.#rows.held(holder)) return false
      this.#rows.run('UPDATE deployments SET leased_until = ? WHERE id = ?', [
        this.#rows.time(leaseMs),
        holder.id,
      ])
      return true
    })
  }

  async startLife(life: Life, reason: string): Promise<{ claims: Claim[]; ended: Deployment[] }> {
    const ended = await this.#endDamaged()
    return this.#transaction(() => {
      // Deployments that other gateways run are not suspect.
      if (this.#settings.alone) ended.push(...this.#suspects.startLife(life).ended)
      const claims = this.#recover(reason, null, life.maxDeaths)
      this.#suspects.holdBack()
      return { claims, ended: ended.map((id) => toDeployment(this.#rows.find(id)!)) }
    })
  }

  async endLife(): Promise<void> {
    return this.#transaction(() => this.#suspects.endLife())
  }

  async giveUp(id: string, problem: ProblemBody): Promise<void> {
    return this.#transaction(() => {
      const row = this.#rows.find(id)
      if (row && !isFinal(row.state)) this.#rows.move(row, failureIn(row.state), { problem })
    })
  }

  async recover(reason: string, only: string | null = null): Promise<Claim[]> {
    return this.#transaction(() => this.#recover(reason, only))
  }

  /** Unreadable records must not prevent the start of the gateway, nor block their app. */
  async #endDamaged(): Promise<string[]> {
    const ended: string[] = []
    await this.#inParts(this.#rows.ids('ended_at IS NULL'), (id) => {
      const row = this.#rows.find(id)!
      if (isReadable(row)) return
      this.#rows.move(row, failureIn(row.state), { problem: damaged(row).body(), rollout: null })
      ended.push(id)
    })
    return ended
  }

  #recover(reason: string, only: string | null, maxDeaths?: number): Claim[] {
    // A suspect in a deploy state without a lease waits for its turn: its log says so already.
    const left = this.#rows.all(
      `SELECT * FROM deployments WHERE ended_at IS NULL AND state IN (${list(workingStates)})
         AND coalesce(leased_until, '') < ? AND id = coalesce(?, id) AND NOT (suspect IS NOT NULL AND leased_until IS NULL)
         ORDER BY created_at`,
      [this.#settings.alone ? '9' : this.#rows.time(), only],
    )
    return left.flatMap((row) => {
      this.#rows.write(row.id, [mayBeMissing])
      const suspect = maxDeaths !== undefined && row.suspect !== null
      if (suspect) this.#rows.write(row.id, [{ type: 'note', text: suspected(row, maxDeaths) }])
      if (!touchesMachines(row.state)) {
        const problem = stopReason(bodyOf(row))?.body()
        if (problem)
          this.#rows.move(row, bodyOf(row).cancel ? 'cancelled' : 'superseded', { problem })
        else this.#rows.take(row, () => this.#rows.move(row, 'pending', { reason }))
        if (!problem) this.#lanes.applyNewerArrivals(row)
        return []
      }
      if (suspect) return []

      return this.#rows.take(row, () =>
        this.#rows.write(row.id, [
          { type: 'note', text: `${reason}; looking at the machines and going on.` },
        ]),
      )
    })
  }

  async eventsAfter(
    id: string,
    after: number,
    limit: number,
    limitBytes = Infinity,
  ): Promise<DeploymentEvent[]> {
    const rows = this.#rows.prepare(
      'SELECT seq, at, body FROM events WHERE deployment = ? AND seq > ? ORDER BY seq LIMIT ?',
    )
    const events: DeploymentEvent[] = []
    let sizeBytes = 0

    for (const { seq, at, body } of rows.iterate(id, after, limit) as Iterable<
      Record<string, unknown>
    >) {
      events.push({ seq: Number(seq), at: String(at), ...(JSON.parse(String(body)) as NewEvent) })
      sizeBytes += String(body).length
      if (sizeBytes >= limitBytes) break
    }

    return events
  }

  async changed(id: string, after: number, signal: AbortSignal): Promise<void> {
    const row = this.#rows.find(id)
    if (!row || row.last_seq > after || row.ended_at !== null || signal.aborted) return
    await once(this.#rows.changes, id, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  }

  async sourcesInUse(keep: KeepSources): Promise<Set<string>> {
    return this.#sources.inUse(keep, this.#settings.now())
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

  dropLogs(
    { perApp, days }: { perApp: number; days: number },
    signal: AbortSignal,
  ): Promise<number> {
    const endedBefore = this.#rows.time(-days * 86_400_000)
    const transaction = <T>(work: () => T) => this.#transaction(work)
    return dropLogs(this.#db, transaction, { perApp, endedBefore, at: this.#rows.time() }, signal)
  }

  async putSecret(owner: SecretOwner, secret: SealedSecret) {
    return this.#transaction(() => this.#secrets.put(owner, secret, this.#rows.time()))
  }

  async removeSecret(owner: SecretOwner, name: string) {
    return this.#transaction(() => this.#secrets.remove(owner, name))
  }

  async secretsOf(owner: SecretOwner) {
    return this.#secrets.of(owner)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rows.close()
    this.#db.close()
  }

  #inParts<T>(items: T[], each: (item: T) => void): Promise<void> {
    return inParts(items, (work) => this.#transaction(work), each)
  }

  #transaction<T>(work: () => T): T {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      // On a full disk SQLite has rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      if (!isFull(error)) throw error
      if (!this.#settings.makeRoom()) throw noRoom(error)
      return this.#transaction(work)
    }
  }
}

function laneBusy({ id, app, owner, state }: Row): Problem {
  const detail = `Deployment ${id} of ${app}${owner && ` for ${owner}`} is ${state}. Wait for its end, or send this with lane=fifo.`
  return new Problem('lane-busy', detail, { facts: { deployment: id, state } })
}
