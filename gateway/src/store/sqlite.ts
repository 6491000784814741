import type { DatabaseSync } from 'node:sqlite'
import type { OwnSettings } from '#api/options/app-settings.ts'
import {
  type Deployment,
  type DeploymentState,
  isFinal,
  type NewCancelRequest,
} from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { Life } from '../deployments/gateway-died.ts'
import { crossesFence, mayAdvance } from '../deployments/lanes.ts'
import type { OwnersPolicy } from '../deployments/owners/owner-app-store.ts'
import type { QueueLimits } from '../deployments/queue.ts'
import type { PageRequest } from '../deployments/release-store.ts'
import type { SealedSecret, SecretOwner, SecretStore } from '../deployments/secret-store.ts'
import { failureIn, startsAgain } from '../deployments/states.ts'
import type {
  AnnouncedDeployment,
  Claim,
  DeploymentPatch,
  DeploymentStore,
  KeepSources,
  NewDeployment,
} from '../deployments/store.ts'
import { claimNext } from './claims.ts'
import { createDeployment, refuseBusyLane } from './create-deployment.ts'
import { dropLogs } from './log-retention.ts'
import { logOf, LogSync } from './sync/log-sync.ts'
import { openDatabase } from './open-database.ts'
import { expireQueued, publishQueuePositions, requestCancel } from './queue.ts'
import { memberOf, type Row, toDeployment, toFound } from './record.ts'
import { endLife, recoverLeft, startLife } from './recovery.ts'
import type { Holder } from './rows/deployment-rows.ts'
import { findByKey, pageOfKey } from './rows/request-keys.ts'
import { SqliteParts } from './parts/sqlite-parts.ts'
import { noLimits, type StoreSettings, type StoreTools } from './store-tools.ts'
import { openTables, type Tables } from './tables.ts'
import { transactionsOn } from './transactions.ts'

/** The store in one SQLite file (or `:memory:`). */
export function openSqliteStore(
  path: string,
  settings: Partial<StoreSettings> = {},
): DeploymentStore & SecretStore & Pick<SqliteParts, 'openTrail'> {
  const owners: OwnersPolicy = { setting: 'shared-app', nameOf: ({ app }) => app }
  const log = logOf(path)
  const usual = { now: Date.now, alone: true, makeRoom: () => false, quotas: {}, owners, log }
  return new SqliteStore(openDatabase(path), { ...usual, ...settings })
}

class SqliteStore extends SqliteParts implements DeploymentStore, SecretStore {
  readonly #db: DatabaseSync
  readonly #settings: StoreSettings
  readonly #log: LogSync
  readonly #transaction: StoreTools['transaction']
  readonly #tables: Tables

  constructor(db: DatabaseSync, settings: StoreSettings) {
    const log = new LogSync(settings.log)
    const transaction = transactionsOn(db, settings.makeRoom, log)
    const time = (laterMs = 0) => new Date(settings.now() + laterMs).toISOString()
    const tables = openTables(db, { time, transaction }, settings)
    super(tables)
    this.#db = db
    this.#log = log
    this.#settings = settings
    this.#transaction = transaction
    this.#tables = tables
  }

  get #rows() {
    return this.#tables.deployments
  }

  async create(fresh: NewDeployment): Promise<Deployment> {
    return this.#transaction(() => createDeployment(this.#tables, fresh))
  }

  async refuseBusyLane(announced: AnnouncedDeployment) {
    refuseBusyLane(this.#tables, announced)
  }

  async findByIdempotencyKey(
    app: string,
    { requestBody, idempotencyKey: key }: Pick<NewDeployment, 'requestBody' | 'idempotencyKey'>,
  ) {
    return toFound(key ? findByKey(this.#rows, { app, key, requestBody }) : null)
  }

  async unfinished(app: string, owner?: string) {
    return toFound(this.#rows.unfinished(app, owner))
  }

  async countUnfinished() {
    return this.#tables.queue.countUnfinished()
  }

  async find(id: string) {
    return toFound(this.#rows.find(id))
  }

  async list(app: string, page: PageRequest & { key?: string | null }) {
    const { shown, next } = page.key
      ? pageOfKey(this.#rows, app, page.key)
      : this.#rows.page(app, page)
    return { deployments: shown.map(toDeployment), next }
  }

  async imageOf(app: string, buildKey: string) {
    return toFound(this.#rows.newestBuilt(app, buildKey))
  }

  async claim(limits: QueueLimits | null = noLimits): Promise<Claim | null> {
    // An end at the fence comes from what is synced: the same claim ends it again.
    return this.#transaction(() => claimNext(this.#tables, limits), 'soon')
  }

  expireQueued(limitMs: number): Promise<void> {
    return expireQueued(this.#tables, limitMs)
  }

  publishQueuePositions(limits: QueueLimits | null): Promise<void> {
    return publishQueuePositions(this.#tables, limits)
  }

  async advance(
    holder: Holder,
    from: DeploymentState,
    to: DeploymentState,
    patch: DeploymentPatch & { reason?: string } = {},
  ) {
    const move = () => {
      const row = this.#rows.rowIfHeld(holder)
      if (!row || row.state !== from || !mayAdvance(memberOf(row), to)) return false
      if (crossesFence(to) && this.#tables.lanes.isStoppedAtFence(row)) return false

      this.#rows.move(row, to, patch)
      if (to === 'pending') this.#tables.lanes.applyNewerArrivals(row)
      return true
    }
    return this.#transaction(move, startsAgain(to) ? 'soon' : 'now')
  }

  async requestCancel(id: string, request: NewCancelRequest): Promise<Deployment> {
    return this.#transaction(() => requestCancel(this.#rows, id, request))
  }

  async amend(holder: Holder, patch: DeploymentPatch) {
    const isHeld = this.#ifHeld(holder, (row) => this.#rows.patch(row, row.state, patch))
    await this.#log.settled() // an effect follows its intent
    return isHeld
  }

  async append(holder: Holder, events: NewEvent[]) {
    return this.#ifHeld(holder, () => this.#rows.write(holder.id, events))
  }

  async renew(holder: Holder) {
    return this.#ifHeld(holder, ({ id }) => this.#rows.renew(id))
  }

  startLife(life: Life, reason: string): Promise<{ claims: Claim[]; ended: Deployment[] }> {
    return startLife(this.#tables, { ...life, alone: this.#settings.alone, reason })
  }

  async endLife(): Promise<void> {
    return this.#transaction(() => endLife(this.#tables))
  }

  async giveUp(id: string, problem: ProblemBody): Promise<void> {
    return this.#transaction(() => {
      const row = this.#rows.find(id)
      if (row && !isFinal(row.state)) this.#rows.move(row, failureIn(row.state), { problem })
    })
  }

  hasSuspects(): boolean {
    return this.#tables.suspects.any()
  }

  async recover(reason: string, only: string | null = null): Promise<Claim[]> {
    const how = { alone: this.#settings.alone, reason, only }
    return this.#transaction(() => recoverLeft(this.#tables, how))
  }

  async eventsAfter(id: string, after: number, limit: number, limitBytes = Infinity) {
    // A reader goes on at the number of the last event that it saw: no power cut may undo that one.
    const events = this.#tables.events.after(id, after, limit, limitBytes)
    await this.#log.settled()
    return events
  }

  async changed(id: string, after: number, signal: AbortSignal): Promise<void> {
    const row = this.#rows.find(id)
    if (!row || row.last_seq > after || row.ended_at !== null || signal.aborted) return
    await this.#tables.notices.untilLogGrows(id, signal)
  }

  onQueueChange(listener: () => void): Disposable {
    return this.#tables.notices.onQueueChange(listener)
  }

  async sourcesInUse(keep: KeepSources): Promise<Set<string>> {
    return this.#tables.sources.inUse(keep, this.#settings.now())
  }

  async appSettings(app: string): Promise<OwnSettings> {
    return this.#tables.apps.settings(app)
  }

  async changeAppSettings(app: string, patch: unknown): Promise<OwnSettings> {
    return this.#transaction(() => this.#tables.apps.change(app, patch))
  }

  dropLogs(keep: { perApp: number; days: number }, signal: AbortSignal): Promise<number> {
    return dropLogs(this.#db, this.#tables.tools, keep, signal)
  }

  async putSecret(owner: SecretOwner, secret: SealedSecret) {
    return this.#transaction(() => this.#tables.secrets.put(owner, secret, this.#rows.time()))
  }

  async changeSecrets(owner: SecretOwner, put: SealedSecret[], remove: string[]) {
    const change = { put, remove }
    return this.#transaction(() => this.#tables.secrets.change(owner, change, this.#rows.time()))
  }

  async removeSecret(owner: SecretOwner, name: string) {
    return this.#transaction(() => this.#tables.secrets.remove(owner, name))
  }

  async secretsOf(owner: SecretOwner) {
    return this.#tables.secrets.of(owner)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log[Symbol.asyncDispose]()
    this.#rows.close()
    this.#db.close()
  }

  #ifHeld(holder: Holder, write: (row: Row) => void): boolean {
    return this.#transaction(() => {
      const row = this.#rows.rowIfHeld(holder)
      if (row) write(row)
      return row !== null
    }, 'soon')
  }
}
