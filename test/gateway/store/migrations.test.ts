import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { integrityOf } from '../../../gateway/src/store/integrity/integrity-of.ts'
import { openDatabase } from '../../../gateway/src/store/open-database.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const folder = join(import.meta.dirname, '../../../gateway/src/store/migrations')
const files = readdirSync(folder).toSorted()
const newFolder = () => mkdtempSync(join(tmpdir(), 'tarmac-store-'))

/**
 * Rows that a gateway of that version writes beside a deployment and that later versions rely on.
 * Other tables get generated rows.
 */
const rowsOf: Record<string, string> = {
  '0004-lanes.sql': `INSERT INTO apps (app) VALUES ('shop')`,
}

/**
 * A database as left by a gateway with the first `version` migrations, with a row in each of its
 * tables.
 */
function databaseOf(version: number): string {
  const path = join(newFolder(), 'tarmac.db')
  using db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON')
  for (const file of files.slice(0, version)) db.exec(readFileSync(join(folder, file), 'utf8'))
  db.exec(`PRAGMA user_version = ${version}`)
  const options = DeploymentOptions.parse({})
  const source = { digest: 'sha256:aa', files: 1, sizeBytes: 2 }
  const body = {
    options,
    source,
    plan: null,
    image: null,
    bases: {},
    machines: [],
    url: null,
    problem: null,
    cancel: null,
  }
  const deployment = db.prepare(
    `INSERT INTO deployments (id, app, number, state, created_at, updated_at, ended_at, last_seq, source_digest, body)
     VALUES (?1, 'shop', ?2, ?3, ?4, ?4, ?5, 1, 'sha256:aa', ?6)`,
  )
  const at = '2026-01-01T00:00:00.000Z'
  const event = db.prepare('INSERT INTO events (deployment, seq, at, body) VALUES (?, 1, ?, ?)')
  for (const [number, state] of ['live', 'deploying', 'pending'].entries()) {
    deployment.run(
      `d${number + 1}`,
      number + 1,
      state,
      at,
      state === 'live' ? at : null,
      JSON.stringify(body),
    )
    event.run(`d${number + 1}`, at, JSON.stringify({ type: 'state', from: null, state: 'pending' }))
  }
  for (const file of files.slice(0, version)) db.exec(rowsOf[file] ?? '')
  for (const { name } of db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all())
    fill(db, String(name))
  return path
}

/** Inserts one row, made from the columns, into an empty table. */
function fill(db: DatabaseSync, table: string): void {
  if (db.prepare(`SELECT 1 FROM ${table}`).get()) return
  const parents = new Map(
    db
      .prepare(`PRAGMA foreign_key_list(${table})`)
      .all()
      .map((key) => [key['from'], key]),
  )
  const columns = db.prepare(`PRAGMA table_info(${table})`).all()
  const values = columns.map(({ name, type }): SQLInputValue => {
    const parent = parents.get(name)
    if (parent)
      return db
        .prepare(`SELECT ${String(parent['to'])} AS value FROM ${String(parent['table'])}`)
        .get()!['value']!
    return type === 'INTEGER' || type === 'REAL' ? 1 : type === 'BLOB' ? new Uint8Array([1]) : '{}'
  })
  db.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?').join(', ')})`).run(...values)
}

test('migrations are numbered, each number once', () => {
  const numbers = files.map((file) => Number(/^(\d{4})-[\w-]+\.sql$/.exec(file)?.[1]))
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
})

test.each(files.map((file, index) => [index + 1, file]))(
  'a database of version %i (%s) opens with all its data, and work continues',
  async (version) => {
    const path = databaseOf(version)
    {
      await using store = openSqliteStore(path)
      expect((await store.list('shop', { limit: 9, before: null })).deployments).toMatchObject([
        { id: 'd3', state: 'pending', source: { digest: 'sha256:aa' } },
        { id: 'd2', state: 'deploying' },
        { id: 'd1', state: 'live', endedAt: '2026-01-01T00:00:00.000Z' },
      ])
      using db = new DatabaseSync(path, { readOnly: true })
      const open = db
        .prepare("SELECT app, count FROM queue_sizes WHERE app IN ('', 'shop') ORDER BY app")
        .all()
      expect(open.map(({ count }) => count)).toEqual([2, 2])
      const [left] = await store.recover('The gateway was killed')
      expect(left).toMatchObject({ deployment: { id: 'd2', state: 'deploying' } })
      expect(await store.advance({ id: 'd2', epoch: left!.epoch }, 'deploying', 'superseded')).toBe(
        true,
      )
      expect((await store.eventsAfter('d2', 0, 9)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
      await store.queueControl.resume() // the row of its table has paused it
      expect(await store.claim()).toMatchObject({ deployment: { id: 'd3', state: 'fetching' } })
    }
    using db = new DatabaseSync(path, { readOnly: true })
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: files.length })
    expect(db.prepare('PRAGMA foreign_key_check').all()).toEqual([])
    expect(integrityOf(db, 'integrity_check')).toBeNull()
  },
)

test('images of earlier versions are known by their builder, also in releases and their deployments', async () => {
  const path = databaseOf(6)
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
  {
    using db = new DatabaseSync(path)
    const put = (id: string, value: object) =>
      db
        .prepare('UPDATE deployments SET body = json_patch(body, ?) WHERE id = ?')
        .run(JSON.stringify(value), id)
    put('d1', { image, plan: { way: 'railpack' } })
    put('d2', { image })
    db.prepare('UPDATE releases SET body = ?').run(JSON.stringify({ image, desired: {} }))
  }
  await using store = openSqliteStore(path)
  const { deployments } = await store.list('shop', { limit: 9, before: null })
  expect(deployments.map((one) => one.image?.builder)).toEqual([undefined, 'railpack', 'railpack'])

  using db = new DatabaseSync(path, { readOnly: true })
  expect(db.prepare("SELECT body ->> '$.image.builder' AS builder FROM releases").all()).toEqual([
    { builder: 'railpack' },
  ])
})

test('a failed migration leaves the version before it unchanged', () => {
  const path = databaseOf(files.length)
  const bad = newFolder()
  cpSync(folder, bad, { recursive: true })
  writeFileSync(
    join(bad, '9999-bad.sql'),
    'DELETE FROM events; ALTER TABLE events ADD COLUMN x TEXT; INSERT INTO nowhere VALUES (1);',
  )
  expect(() => openDatabase(path, pathToFileURL(`${bad}/`))).toThrow('no such table: nowhere')

  using db = openDatabase(path)
  expect(db.prepare('SELECT count(*) AS n FROM events').get()).toEqual({ n: 3 })
  expect(db.prepare('PRAGMA table_info(events)').all()).toHaveLength(4)
})

test('records of earlier gateways have the names of today', async () => {
  const path = databaseOf(9)
  const problem = {
    type: '/problems/deploy-stuck',
    code: 'deploy-stuck',
    title: 'Stuck',
    status: 502,
    detail: 'It says "code":"deploy-stuck" and "fault":"ours".',
    fault: 'ours',
    retry: false,
  }
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [], way: 'railpack' }
  const plan = {
    way: 'railpack',
    reason: 'no Dockerfile',
    planner: '1',
    provider: null,
    versions: {},
    startCommand: null,
  }
  const env = { over: '1', way: 'railpack' }
  const { 'force-over': _, ...options } = DeploymentOptions.parse({ env })
  const target = { app: 'shop', deployment: 'd9', options: { ...options, over: null } }
  const rollout = { source: null, build: null, parallel: 1, stopAfter: 3, targets: [target] }
  {
    using db = new DatabaseSync(path)
    const put = db.prepare('UPDATE deployments SET body = json_patch(body, ?) WHERE id = ?')
    put.run(JSON.stringify({ problem, image, plan, options: { ...options, over: '57' } }), 'd1')
    db.prepare('UPDATE events SET body = ? WHERE deployment = ?').run(
      JSON.stringify({ type: 'plan', ...plan }),
      'd1',
    )
    db.prepare('UPDATE events SET body = ? WHERE deployment = ?').run(
      JSON.stringify({ type: 'state', from: 'verifying', state: 'deploy_failed', problem }),
      'd2',
    )
    db.prepare('UPDATE rollouts SET body = ?').run(JSON.stringify(rollout))
  }
  await using store = openSqliteStore(path)
  const { options: found, ...record } = (await store.find('d1'))!
  const renamed = { ...problem, type: '/problems/rollback-failed', code: 'rollback-failed' }
  expect(record).toMatchObject({
    problem: { ...renamed, fault: 'gateway' },
    image: { builder: 'railpack' },
    plan: { builder: 'railpack' },
  })
  expect(found).toMatchObject({ 'force-over': '57', env })
  expect(found).not.toHaveProperty('over')
  expect(await store.eventsAfter('d1', 0, 1)).toMatchObject([{ type: 'plan', builder: 'railpack' }])
  expect(await store.eventsAfter('d2', 0, 1)).toMatchObject([
    { problem: { ...renamed, fault: 'gateway' } },
  ])
  using db = new DatabaseSync(path, { readOnly: true })
  const [{ body } = {}] = db.prepare('SELECT DISTINCT body FROM rollouts').all()
  expect(JSON.parse(String(body))).toEqual({
    source: null,
    build: null,
    parallel: 1,
    maxFailures: 3,
    targets: [{ app: 'shop', deployment: 'd9', options: { ...options, 'force-over': null } }],
  })
})
