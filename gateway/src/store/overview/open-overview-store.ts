import { type DeploymentState, isFinal } from '#api/deployment.ts'
import type { AppFilter } from '#api/overview/overview.ts'
import type { OverviewStore, RecordFilter } from '../../deployments/overview/overview-store.ts'
import { defaultTeam } from '#api/callers/teams.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import { Row, toDeployment } from '../record.ts'
import { previewIdIn } from '../../deployments/previews/preview-names.ts'
import type { DeploymentRows } from '../rows/deployment-rows.ts'
import type { Tables } from '../tables.ts'
import { queueReader } from './queue-reader.ts'
import { versionOf } from './version-of.ts'
import { pageOf, readAs, readRows, seenRows, targetIn } from '../store-tools.ts'

/** How many records, or apps, one page looks at. */
const lookedAt = 5000

type Where = { sql: string; values: string[] }

/** See `OverviewStore`. */
export const openOverviewStore = (tables: Tables): OverviewStore => ({
  version: () => versionOf(tables),
  targetOf: async (id) => targetOf(tables.deployments, id),
  deployments: async (filter, page) => deploymentsOf(tables.deployments, filter, page),
  apps: async (filter, page) => appsOf(tables.deployments, filter, page),
  queue: queueReader(tables),
})

function targetOf(rows: DeploymentRows, id: string) {
  const row = rows.prepare('SELECT app, owner FROM deployments WHERE id = ?').get(id)
  if (!row) return null
  if (previewIdIn(String(row['app'])) === null)
    return { app: String(row['app']), owner: String(row['owner']) || null }
  return targetIn(rows.prepare('SELECT app, owner, body FROM deployments WHERE id = ?').get(id)!)
}

/** The cursor is the row id: the order of creation. */
function deploymentsOf(rows: DeploymentRows, filter: RecordFilter, page: PageRequest) {
  const last = Number(
    rows.prepare('SELECT max(rowid) AS last FROM deployments').get()?.['last'] ?? 0,
  )
  const below = page.before === null ? last + 1 : Number(page.before)
  const from = Math.max(0, below - lookedAt)
  const { sql, values } = whereOf(filter)
  const newestFirst = rows.prepare(
    `SELECT rowid AS place, * FROM deployments WHERE rowid < ? AND rowid >= ?${sql} ORDER BY rowid DESC`,
  )
  const found = readRows(Placed, seenRows(newestFirst.iterate(below, from, ...values), page.isSeen))
  const { shown, next } = pageOf(found, page.limit, ({ place }) => place)
  return { deployments: shown.map(toDeployment), next: next ?? (from > 0 ? `${from}` : null) }
}

const Placed = Row.extend({ place: Row.shape.number })

/** The cursor is the last app that was looked at. */
function appsOf(
  rows: DeploymentRows,
  { app, state, team }: AppFilter,
  { limit, before, isSeen }: PageRequest,
) {
  const { sql, values } = allOf(named('app', app), isOfTeam(team))
  const names = rows.prepare(
    `SELECT app FROM apps WHERE app > ? AND app NOT IN (SELECT fly_app FROM previews)${sql} ORDER BY app`,
  )
  const newest = rows.prepare('SELECT * FROM deployments WHERE app = ? ORDER BY number DESC')
  const apps: { app: string; deployment: ReturnType<typeof toDeployment> }[] = []
  let looked = 0
  let last = before ?? ''
  for (const row of names.iterate(before ?? '', ...values)) {
    const name = String(row['app'])
    if (isSeen && !isSeen({ app: name })) continue
    const [found] = seenRows(newest.iterate(name), isSeen)
    if (!found) continue
    if (apps.length === limit || looked++ === lookedAt) return { apps, next: last }
    last = name
    const deployment = toDeployment(readAs(Row, found))
    if (!state || deployment.state === state) apps.push({ app: last, deployment })
  }
  return { apps, next: null }
}

const whereOf = ({ app, owner, state, branch, team, actor, environment }: RecordFilter): Where =>
  allOf(
    named('app', app),
    is('owner = ?', owner),
    isIn([state ?? []].flat()),
    isFor(environment),
    is(`body ->> '$.options.branch' = ?`, branch),
    named(`body ->> '$.triggeredBy.name'`, actor),
    // The team of a preview is that of the app that it belongs to.
    isOfTeam(team, `coalesce(body ->> '$.preview.app', app)`),
  )

const allOf = (...wheres: Where[]): Where => ({
  sql: wheres.map(({ sql }) => sql).join(''),
  values: wheres.flatMap(({ values }) => values),
})

function isIn(states: readonly DeploymentState[]): Where {
  if (states.length === 0) return { sql: '', values: [] }
  // Few have not ended, and an index has them.
  const unfinished = states.some(isFinal) ? '' : ' AND ended_at IS NULL'
  return {
    sql: `${unfinished} AND state IN (${states.map(() => '?').join(', ')})`,
    values: [...states],
  }
}

/** A preview has an app of its own, without an owner. */
function isFor(environment: RecordFilter['environment']): Where {
  const isPreview = `app IN (SELECT fly_app FROM previews)`
  const wheres = {
    app: ` AND owner = '' AND NOT ${isPreview}`,
    owner: ` AND owner <> '' AND NOT ${isPreview}`,
    preview: ` AND ${isPreview}`,
  }
  return { sql: environment ? wheres[environment] : '', values: [] }
}

const isOfTeam = (team: string | undefined, app = 'app'): Where =>
  team === defaultTeam
    ? { sql: ` AND ${app} NOT IN (SELECT app FROM team_apps)`, values: [] }
    : is(`${app} IN (SELECT app FROM team_apps WHERE team = ?)`, team)

const is = (condition: string, value: string | undefined): Where =>
  value === undefined ? { sql: '', values: [] } : { sql: ` AND ${condition}`, values: [value] }

/** A name, or the beginning of names and `*`. `substr` and not `GLOB`: a name has no pattern in it. */
function named(column: string, name: string | undefined): Where {
  if (!name?.endsWith('*')) return is(`${column} = ?`, name)
  const start = name.slice(0, -1)
  return { sql: ` AND substr(${column}, 1, length(?)) = ?`, values: [start, start] }
}
