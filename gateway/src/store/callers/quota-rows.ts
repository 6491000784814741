import type { DatabaseSync } from 'node:sqlite'
import { type OwnQuotas, type QuotaName, quotas } from '#api/callers/quotas.ts'
import { dayOf, quotaReached } from '../../deployments/teams/quota-reached.ts'
import type { QuotaStore } from '../../deployments/teams/team-store.ts'
import type { PreviewRows } from '../previews/preview-rows.ts'
import type { StoreTools } from '../store-tools.ts'
import type { TeamRows } from './team-rows.ts'

/** What a new deployment needs of its team's quotas. */
export type Need = {
  app: string
  owner: string
  /** Whether it builds. */
  builds: boolean
  /** How many machines it asks for. `as before`: as many as its target has, at least one. */
  machines: number | 'as before' | 'none'
  /** It replaces those of its lane that wait. */
  replaces: boolean
}

/** A quota, what is used of it, and how much more is asked. */
type Ask = [quota: QuotaName, use: () => number, asked: number | 'some']

const keptDays = 40
const dayMs = 86_400_000
const building = "('fetching', 'analyzing', 'building', 'pushing')"

/** What teams use, for use within a transaction of the store unless it says otherwise. */
export class QuotaRows implements QuotaStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #teams: TeamRows
  readonly #previews: PreviewRows
  readonly #defaults: OwnQuotas
  readonly #statements = new Map<string, ReturnType<DatabaseSync['prepare']>>()

  constructor(
    db: DatabaseSync,
    tools: StoreTools,
    { teams, previews }: { teams: TeamRows; previews: PreviewRows },
    defaults: OwnQuotas,
  ) {
    this.#db = db
    this.#tools = tools
    this.#teams = teams
    this.#previews = previews
    this.#defaults = defaults
  }

  limitOf(team: string, quota: QuotaName): number | null {
    const own = this.#teams.find(team)?.quotas[quota]
    return own === undefined ? (this.#defaults[quota] ?? null) : own
  }

  usedOf(team: string, quota: QuotaName): number | null {
    if (quotas[quota].per === 'day') return this.#usedToday(team, quota) / quotas[quota].scale
    if (quota === 'queue') return this.#waiting(team, null)
    if (quota === 'builds') return this.#building(team)
    if (quota === 'previews') return this.#livingPreviews(team)
    return quota === 'machines' ? this.#machines(team) : null
  }

  /** In a transaction of its own. */
  async add(team: string, quota: QuotaName, amount: number): Promise<void> {
    if (amount > 0) this.#tools.transaction(() => this.#count(team, quota, amount))
  }

  /** Throws `quota-reached` if a new deployment needs more than its team may use. */
  assertRoom(need: Need): void {
    const team = this.#teams.teamOf(need.app)
    const asks: Ask[] = [
      ['queue', () => this.#waiting(team, need.replaces ? need : null), 1],
      ...(need.builds ? this.#buildAsks(team) : []),
      ...this.#machineAsks(team, need),
    ]
    for (const [quota, use, asked] of asks) {
      const limit = this.limitOf(team, quota)
      if (limit === null) continue
      const used = use()
      if (asked === 'some' ? used >= limit : used + asked > limit)
        throw this.#reached({ team, quota, used, asked, limit })
    }
  }

  /**
   * Throws `quota-reached` if the team of the app may have no further preview, unless that `replaces`
   * another one. Returns whether it has to.
   */
  assertPreviewRoom(app: string, replaces: boolean): boolean {
    const team = this.#teams.teamOf(app)
    const limit = this.limitOf(team, 'previews')
    const used = limit === null ? 0 : this.#livingPreviews(team)
    if (limit === null || used < limit) return false
    if (replaces) return true
    throw this.#reached({ team, quota: 'previews', used, asked: 1, limit })
  }

  #livingPreviews(team: string): number {
    const own = this.#previews.livingByApp().filter(({ app }) => this.#teams.teamOf(app) === team)
    return own.reduce((sum, { n }) => sum + n, 0)
  }

  #reached(facts: {
    team: string
    quota: QuotaName
    used: number
    asked: number | 'some'
    limit: number
  }) {
    const team = this.#teams.isAlone ? null : facts.team
    return quotaReached({ ...facts, team, nowMs: this.#nowMs() })
  }

  countBuild(app: string): void {
    this.#count(this.#teams.teamOf(app), 'builds-per-day', 1)
  }

  /**
   * Counts the time that a deployment was in a state before its deploy. Call it with each write of
   * its record, before `updated_at` changes. Without a lease, and after it, nobody
   * worked on it.
   */
  countBuildTime(row: {
    app: string
    state: string
    updated_at: string
    leased_until: string | null
  }): void {
    if (row.leased_until === null || !building.includes(`'${row.state}'`)) return
    const untilMs = Math.min(this.#nowMs(), Date.parse(row.leased_until))
    const ms = Math.round(untilMs - Date.parse(row.updated_at))
    if (ms > 0) this.#count(this.#teams.teamOf(row.app), 'build-minutes-per-day', ms)
  }

  #buildAsks(team: string): Ask[] {
    const used = (quota: QuotaName) => () => this.usedOf(team, quota) ?? 0
    return [
      ['builds-per-day', used('builds-per-day'), 1],
      // Nobody knows how long it takes: it may begin while anything is left.
      ['build-minutes-per-day', used('build-minutes-per-day'), 'some'],
    ]
  }

  #count(team: string, quota: QuotaName, amount: number): void {
    const nowMs = this.#nowMs()
    const day = dayOf(nowMs)
    const { changes } = this.#prepare(
      'UPDATE quota_uses SET used = used + ?4 WHERE day = ?1 AND team = ?2 AND quota = ?3',
    ).run(day, team, quota, Math.round(amount))
    if (changes > 0) return
    this.#prepare('INSERT INTO quota_uses VALUES (?, ?, ?, ?)').run(
      day,
      team,
      quota,
      Math.round(amount),
    )
    this.#prepare('DELETE FROM quota_uses WHERE day < ?').run(dayOf(nowMs - keptDays * dayMs))
  }

  #usedToday(team: string, quota: QuotaName): number {
    const row = this.#prepare(
      'SELECT used FROM quota_uses WHERE day = ? AND team = ? AND quota = ?',
    ).get(dayOf(this.#nowMs()), team, quota)
    return Number(row?.['used'] ?? 0)
  }

  /** Those that wait. `except`: not those of this lane. */
  #waiting(team: string, except: Pick<Need, 'app' | 'owner'> | null): number {
    return this.#sum(
      team,
      `SELECT app, count(*) AS n FROM deployments INDEXED BY deployments_queue
       WHERE ended_at IS NULL AND state = 'pending' AND NOT (app = ?1 AND owner = ?2) GROUP BY app`,
      except?.app ?? '',
      except?.owner ?? '',
    )
  }

  #building(team: string): number {
    return this.#sum(
      team,
      `SELECT app, count(*) AS n FROM deployments INDEXED BY deployments_unfinished
       WHERE ended_at IS NULL AND state IN ${building} GROUP BY app`,
    )
  }

  #machines(team: string): number {
    return this.#sum(team, `SELECT app, n FROM (${machinesOf})`)
  }

  /** Machines that a deployment adds to those of its target, as far as it says. */
  #machineAsks(team: string, { app, owner, machines }: Need): Ask[] {
    if (machines === 'none' || this.limitOf(team, 'machines') === null) return []
    const one = `SELECT n FROM (${machinesOf}) WHERE app = ? AND owner = ?`
    const row = this.#prepare(one).get(app, owner)
    const [had, asked] = [Number(row?.['n'] ?? 0), machines === 'as before' ? 0 : machines]
    const added = Math.max(asked, 1) - had
    return added > 0 ? [['machines', () => this.#machines(team), added]] : []
  }

  #sum(team: string, sql: string, ...values: string[]): number {
    let sum = 0
    for (const { app, n } of this.#prepare(sql).iterate(...values))
      if (this.#teams.teamOf(String(app)) === team) sum += Number(n)
    return sum
  }

  /** Returns a cached statement: each answer to a caller with a limit reads some. */
  #prepare(sql: string) {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.set(sql, known)
    return known
  }

  readonly #nowMs = () => Date.parse(this.#tools.time())
}

/**
 * The machines of each target, as the deployment of its newest release has them. What a deployment
 * that has not ended asks for counts too: several at the same time must not exceed the quota together.
 */
const machinesOf = `SELECT app, owner, max(n) AS n FROM (
  SELECT r.app, r.owner, iif(json_valid(d.body), json_array_length(d.body, '$.machines'), 0) AS n
  FROM releases AS r JOIN deployments AS d ON d.id = r.deployment
  WHERE r.number = (SELECT max(number) FROM releases WHERE app = r.app AND owner = r.owner)
  UNION ALL
  SELECT app, owner, iif(body ->> '$.options.deploy', coalesce(body ->> '$.options.count', 1), 0)
  FROM deployments INDEXED BY deployments_unfinished WHERE ended_at IS NULL AND json_valid(body)
  ) GROUP BY app, owner`
