import type { DatabaseSync } from 'node:sqlite'
import { isQuotaName, type OwnQuotas } from '#api/callers/quotas.ts'
import { defaultTeam } from '#api/callers/teams.ts'
import { keepWithin, sizeLimits } from '../../deployments/size-limits.ts'
import type { StoredTeam, TeamStore } from '../../deployments/teams/team-store.ts'
import type { PreviewRows } from '../previews/preview-rows.ts'
import { parsedObject, type StoreTools } from '../store-tools.ts'

/** Teams in memory, as the tables have them. A change reads them again. */
type Known = {
  teams: Map<string, StoredTeam>
  members: Map<string, string[]>
  apps: Map<string, string>
}

/** The tables of teams. */
export class TeamRows implements TeamStore {
  readonly #db: DatabaseSync
  readonly #tools: StoreTools
  readonly #previews: Pick<PreviewRows, 'appOf'>
  #known: Known | null = null
  /** When the queue served each team last. It need not survive a restart. */
  readonly #served = new Map<string, number>()
  #turn = 0

  constructor(db: DatabaseSync, tools: StoreTools, previews: Pick<PreviewRows, 'appOf'>) {
    this.#db = db
    this.#tools = tools
    this.#previews = previews
  }

  get isAlone() {
    return this.#now.teams.size <= 1
  }

  all() {
    return [...this.#now.teams.values()]
  }

  find(name: string) {
    return this.#now.teams.get(name) ?? null
  }

  teamOf(app: string) {
    const { apps } = this.#now
    return apps.get(app) ?? apps.get(this.#previews.appOf(app) ?? '') ?? defaultTeam
  }

  teamsOf(member: string) {
    return this.#now.members.get(member) ?? null
  }

  members(team: string) {
    const all = [...this.#now.members]
    return all.filter(([, teams]) => teams.includes(team)).map(([member]) => member)
  }

  apps(team: string) {
    const assigned = this.#now.apps
    if (team !== defaultTeam)
      return [...assigned].flatMap(([app, of]) => (of === team ? [app] : []))
    const known = this.#db
      .prepare('SELECT app FROM apps WHERE app NOT IN (SELECT fly_app FROM previews) ORDER BY app')
      .all()
    return known.map(({ app }) => String(app)).filter((app) => !assigned.has(app))
  }

  isNew(app: string) {
    if (this.#now.apps.has(app)) return false
    return this.#db.prepare('SELECT 1 FROM apps WHERE app = ?').get(app) === undefined
  }

  async create(name: string) {
    this.#change(() => {
      this.#run('INSERT INTO teams VALUES (?, ?, ?)', name, this.#tools.time(), '{}')
    })
  }

  async remove(name: string) {
    this.#change(() => {
      this.#leave('team = ?', name)
      this.#run('DELETE FROM teams WHERE name = ?', name)
    })
  }

  async addMember(team: string, member: string) {
    this.#change(() => {
      keepWithin('The member’s name', member, sizeLimits.nameBytes)
      this.#run("DELETE FROM team_members WHERE member = ? AND team = ''", member)
      this.#run('INSERT OR IGNORE INTO team_members VALUES (?, ?)', member, team)
    })
  }

  async removeMember(team: string, member: string) {
    this.#change(() => this.#leave('team = ? AND member = ?', team, member))
  }

  async moveApp(app: string, team: string) {
    this.#change(() => {
      if (team === defaultTeam) this.#run('DELETE FROM team_apps WHERE app = ?', app)
      else this.#run('INSERT OR REPLACE INTO team_apps VALUES (?, ?)', app, team)
    })
  }

  async claim(app: string, team: string) {
    this.#tools.transaction(() => {
      if (this.isNew(app)) this.#run('INSERT INTO team_apps VALUES (?, ?)', app, team)
    })
    const row = this.#db.prepare('SELECT team FROM team_apps WHERE app = ?').get(app)
    if (row) this.#now.apps.set(app, String(row['team']))
    return this.teamOf(app) === team
  }

  async release(app: string) {
    this.#change(() =>
      this.#run(
        'DELETE FROM team_apps WHERE app = ?1 AND NOT EXISTS (SELECT 1 FROM apps WHERE app = ?1)',
        app,
      ),
    )
  }

  async setQuotas(team: string, quotas: OwnQuotas) {
    this.#change(() =>
      this.#run('UPDATE teams SET quotas = ? WHERE name = ?', JSON.stringify(quotas), team),
    )
  }

  /** Records that an app of the team had its turn. */
  served(app: string): void {
    this.#served.set(this.teamOf(app), ++this.#turn)
  }

  lastServed(team: string): number {
    return this.#served.get(team) ?? 0
  }

  get #now(): Known {
    return (this.#known ??= this.#read())
  }

  #read(): Known {
    const rows = (sql: string) => this.#db.prepare(sql).all()
    const known: Known = { teams: new Map(), members: new Map(), apps: new Map() }
    for (const row of rows('SELECT * FROM teams ORDER BY name')) {
      const [name, createdAt] = [String(row['name']), String(row['created_at'])]
      known.teams.set(name, { name, createdAt, quotas: quotasIn(String(row['quotas'])) })
    }
    for (const row of rows('SELECT * FROM team_members ORDER BY member, team')) {
      const member = String(row['member'])
      const teams = known.members.get(member) ?? []
      known.members.set(member, [...teams, String(row['team'])].filter(Boolean))
    }
    for (const row of rows('SELECT * FROM team_apps ORDER BY app'))
      known.apps.set(String(row['app']), String(row['team']))
    return known
  }

  /** Ends memberships. A member without another team keeps a row, so that it does not get the apps of `default`. */
  #leave(which: string, ...values: string[]): void {
    this.#run(
      `INSERT OR IGNORE INTO team_members SELECT member, '' FROM team_members AS m WHERE ${which}
         AND NOT EXISTS (SELECT 1 FROM team_members WHERE member = m.member AND team <> m.team)`,
      ...values,
    )
    this.#run(`DELETE FROM team_members WHERE ${which}`, ...values)
  }

  #run(sql: string, ...values: string[]): void {
    this.#db.prepare(sql).run(...values)
  }

  #change(action: () => void): void {
    try {
      this.#tools.transaction(action)
    } finally {
      this.#known = null
    }
  }
}

/** The values that can be read. */
const quotasIn = (text: string): OwnQuotas =>
  Object.fromEntries(
    Object.entries(parsedObject(text) ?? {}).filter(
      ([name, value]) => isQuotaName(name) && (value === null || typeof value === 'number'),
    ),
  )
