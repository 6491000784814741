import { copyFileSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { dice } from '../../archives.ts'
import { sharedStoreContract, storeContract } from './contract.ts'
import { storeSizeContract } from './size-contract.ts'

storeContract((now) => openSqliteStore(':memory:', now && { now }))

const options = DeploymentOptions.parse({})
const newFile = () => join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')

sharedStoreContract((now) => {
  const file = newFile()
  return [
    openSqliteStore(file, { now, alone: false }),
    openSqliteStore(file, { now, alone: false }),
  ]
})

storeSizeContract(() => {
  const file = newFile()
  const store = openSqliteStore(file)
  return { store, storedBytes: () => storedBytes(file) }
})

test('a record that an older gateway let grow beyond the limit can still be cancelled, fail and be listed', async () => {
  const file = newFile()
  await using store = openSqliteStore(file)
  const options = DeploymentOptions.parse({ lane: 'fifo' })
  for (const id of ['d1', 'd2']) await store.create({ id, app: 'shop', options, source: null })
  using db = new DatabaseSync(file)
  const grow = "UPDATE deployments SET body = json_set(body, '$.options.message', ?)"
  db.prepare(grow).run('x'.repeat(5 * 2 ** 20))
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  const problem = new Problem('build-failed', 'y'.repeat(1e6)).body()
  expect(await store.advance(holder, 'fetching', 'build_failed', { problem })).toBe(true)
  expect(
    await store.requestCancel('d2', { by: 'z'.repeat(1e6), why: null, abort: false }),
  ).toMatchObject({
    state: 'cancelled',
  })

  const { deployments, next } = await store.list('shop', { limit: 10, before: null })
  deployments.push(...(await store.list('shop', { limit: 10, before: next })).deployments)
  expect(deployments.map(({ id }) => id)).toEqual(['d2', 'd1'])
})

/** The size of all values in all tables. */
function storedBytes(file: string): number {
  using db = new DatabaseSync(file, { readOnly: true })
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()
  return tables.reduce((sum, { name }) => {
    const columns = db.prepare(`PRAGMA table_info("${String(name)}")`).all()
    const size = columns
      .map((column) => `coalesce(sum(length(CAST("${String(column['name'])}" AS BLOB))), 0)`)
      .join(' + ')
    return sum + Number(db.prepare(`SELECT ${size} AS size FROM "${String(name)}"`).get()!['size'])
  }, 0)
}

test('records and logs exist after a restart', async () => {
  const file = newFile()
  {
    await using store = openSqliteStore(file)
    await store.create({ id: 'd1', app: 'shop', options, source: null })
  }
  await using again = openSqliteStore(file)
  expect(await again.find('d1')).toMatchObject({ state: 'pending' })
  expect(await again.eventsAfter('d1', 0, 9)).toHaveLength(1)
})

test('a power cut that tears the write-ahead log anywhere loses no acknowledged write before it, and splits none', async () => {
  const file = newFile()
  await using store = openSqliteStore(file)
  await store.create({ id: 'd1', app: 'shop', options, source: null })
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  const acknowledged: { walBytes: number; events: number }[] = []
  for (let events = 3; events < 60; events++) {
    await store.append(holder, [{ type: 'note', text: 'x'.repeat(events * 50) }])
    acknowledged.push({ walBytes: statSync(`${file}-wal`).size, events })
  }
  const roll = dice(7)
  for (let n = 0; n < 40; n++) {
    const torn = newFile()
    const cut =
      acknowledged[0]!.walBytes + roll(acknowledged.at(-1)!.walBytes - acknowledged[0]!.walBytes)
    copyFileSync(file, torn)
    const garbage = Buffer.alloc(3000, n) // unsynced bytes at the end of the file
    writeFileSync(
      `${torn}-wal`,
      Buffer.concat([readFileSync(`${file}-wal`).subarray(0, cut), garbage]),
    )
    await using after = openSqliteStore(torn)
    const seqs = (await after.eventsAfter('d1', 0, 99)).map(({ seq }) => seq)
    expect(seqs).toEqual(seqs.map((_, index) => index + 1))
    expect(seqs.length, `cut at ${cut}`).toBe(
      acknowledged.findLast(({ walBytes }) => walBytes <= cut)!.events,
    )
    // this writes: the record and its log agree on the next number
    await after.recover('The power was cut')
    expect((await after.eventsAfter('d1', seqs.length, 1)).map(({ seq }) => seq)).toEqual([
      seqs.length + 1,
    ])
  }
}, 60_000)

test('unreadable records end, and block neither the gateway’s start nor other deployments', async () => {
  const file = newFile()
  const start = (store: ReturnType<typeof openSqliteStore>) =>
    store.startLife({ boot: 'b', maxDeaths: 3 }, 'killed')
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
  const apps = ['pending', 'working', 'deploying', 'notes', 'good']
  {
    await using store = openSqliteStore(file)
    await start(store)
    for (const app of apps.slice(1))
      await store.create({
        id: app,
        app,
        options,
        source: null,
        image: /deploying|notes/.test(app) ? image : null,
      })
    for (let claim; (claim = await store.claim());)
      await store.amend({ id: claim.deployment.id, epoch: claim.epoch }, { rollout: {} })
    await store.create({ id: 'pending', app: 'pending', options, source: null })
    await store.rollouts.create(
      {
        id: 'r1',
        source: null,
        build: null,
        triggeredBy: null,
        parallel: 1,
        maxFailures: 1,
        targets: [],
      },
      { requestBody: {}, idempotencyKey: null },
    )
  }
  {
    using database = new DatabaseSync(file)
    database.exec(
      "UPDATE deployments SET body = '{torn' WHERE id IN ('pending', 'working', 'deploying')",
    )
    database.exec("UPDATE deployments SET rollout = '{torn' WHERE id = 'notes'")
    database.exec(
      "UPDATE apps SET settings = '[]' WHERE app = 'good'; UPDATE rollouts SET body = 'torn'",
    )
  }
  await using store = openSqliteStore(file)
  const { claims, ended } = await start(store)
  expect([claims, ended.map(({ id }) => id).toSorted()]).toEqual([[], apps.slice(0, 4).toSorted()])

  for (const id of apps.slice(0, 4))
    expect(await store.find(id)).toMatchObject({
      state: /deploying|notes/.test(id) ? 'deploy_failed' : 'build_failed',
      problem: { code: 'database-unusable' },
    })
  expect(await store.claim()).toMatchObject({ deployment: { id: 'good' }, suspect: true })
  expect(await store.rollouts.unfinished()).toMatchObject([{ id: 'r1', targets: [] }])
  await store.sourcesInUse({ keepSources: 1, keepSourcesMib: 1, keepSourcesDays: 1 })
  await store.create({ id: 'again', app: 'working', options, source: null }) // its app continues
})

test('what another program wrote into the records reads as damaged, each for itself', async () => {
  const file = newFile()
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
  await using store = openSqliteStore(file)
  for (const id of ['good', 'bad'])
    await store.create({ id, app: id, options, source: null, image })
  await store.changeAppSettings('bad', { builds: 2, region: 'fra' })
  for (let claim; (claim = await store.claim());) {
    const holder = { id: claim.deployment.id, epoch: claim.epoch }
    await store.advance(holder, 'deploying', 'verifying')
    const release = { desired: {}, secrets: null }
    await store.advance(holder, 'verifying', 'live', { release })
  }
  {
    using database = new DatabaseSync(file)
    database.exec(`
      UPDATE deployments SET body = json_set(body, '$.machines', 'none') WHERE id = 'bad';
      UPDATE apps SET settings = json_set(settings, '$.builds', 'many') WHERE app = 'bad';
      UPDATE releases SET body = json_set(body, '$.image', 'none') WHERE app = 'bad';
      UPDATE events SET body = '{}' WHERE deployment = 'bad'`)
  }
  const unusable = { code: 'database-unusable' }
  expect(await store.find('bad')).toMatchObject({ state: 'live', machines: [], problem: unusable })
  expect(await store.appSettings('bad')).toEqual({ region: 'fra' })
  await expect(store.releases.find('bad', null)).rejects.toMatchObject(unusable)
  await expect(store.eventsAfter('bad', 0, 9)).rejects.toMatchObject(unusable)

  expect(await store.find('good')).toMatchObject({ state: 'live', image, problem: null })
  expect(await store.releases.find('good', null)).toMatchObject({ number: 1, image })
  expect(await store.eventsAfter('good', 0, 1)).toHaveLength(1)
})

test('dropping a long log delays no writer, and frees its space', async () => {
  const file = newFile()
  const store = openSqliteStore(file)
  await store.create({ id: 'long', app: 'shop', options, source: null })
  const long = { id: 'long', epoch: (await store.claim())!.epoch }
  for (let n = 0; n < 100; n++)
    await store.append(
      long,
      Array.from({ length: 1000 }, () => ({ type: 'note' as const, text: 'x'.repeat(300) })),
    )
  const problem = new Problem('build-failed', 'no').body()
  await store.advance(long, 'fetching', 'build_failed', { problem })
  await store.create({ id: 'next', app: 'shop', options, source: null })
  const next = { id: 'next', epoch: (await store.claim())!.epoch }
  const sizeBefore = statSync(file).size

  const done = new AbortController()
  const dropped = store
    .dropLogs({ perApp: 1, days: 1 }, new AbortController().signal)
    .finally(() => done.abort())
  const waits: number[] = []
  while (!done.signal.aborted) {
    const start = performance.now()
    await setImmediate() // lets the drop do its next steps
    await store.append(next, [{ type: 'note', text: 'at work' }])
    waits.push(performance.now() - start)
  }
  expect(await dropped).toBe(1)
  expect(waits.length).toBeGreaterThan(100)
  // 50 ms on an idle machine: see the bench
  expect(waits.toSorted((a, b) => a - b).at(-3)).toBeLessThan(200)
  await store[Symbol.asyncDispose]()
  expect(statSync(file).size).toBeLessThan(sizeBefore * 0.8)
}, 60_000)

test('a late, older deployment never replaces a newer one of its lane, however far it got', async () => {
  const file = newFile()
  await using store = openSqliteStore(file)
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
  const create = (id: string, owner: string | null = null, built: typeof image | null = null) =>
    store.create({
      id,
      app: 'shop',
      options: DeploymentOptions.parse({ owner }),
      source: null,
      image: built,
    })
  await create('d1')
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  await store.advance(holder, 'fetching', 'analyzing')
  await store.advance(holder, 'analyzing', 'building')
  await create('d2', null, image)
  await create('d3', 'alice', image)
  await create('d4')
  await create('d5', 'alice')
  using fault = new DatabaseSync(file)
  fault.exec(`UPDATE deployments SET state = 'pending', ended_at = NULL WHERE id = 'd2'`)
  fault.exec(`UPDATE deployments SET state = 'live', ended_at = '2026' WHERE id = 'd4'`)
  expect(await store.advance(holder, 'building', 'deploying')).toBe(false)
  expect(await store.find('d1')).toMatchObject({ state: 'superseded', supersededBy: 'd4' })
  expect((await store.claim())?.deployment.id).toBe('d5')
  expect(await store.claim()).toBeNull()
  expect(await store.find('d2')).toMatchObject({
    state: 'superseded',
    problem: { code: 'superseded' },
  })
  await create('d6')
  expect((await store.claim())?.deployment).toMatchObject({ id: 'd6', state: 'fetching' })

  await create('d7')
  fault.exec(`UPDATE deployments SET state = 'live', ended_at = '2026' WHERE id = 'd7'`)
  await store.recover('The gateway was killed')
  expect(await store.find('d6')).toMatchObject({ state: 'superseded', supersededBy: 'd7' })
})
