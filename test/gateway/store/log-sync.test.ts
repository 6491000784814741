import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { openDatabase } from '../../../gateway/src/store/open-database.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { transactionsOn } from '../../../gateway/src/store/transactions.ts'

const options = DeploymentOptions.parse({ deploy: false })
const newFile = () => join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')

/** A store whose syncs beside the main thread end when a test says so. */
async function heldStore() {
  const syncs: PromiseWithResolvers<void>[] = []
  const log = {
    sync() {
      const sync = Promise.withResolvers<void>()
      syncs.push(sync)
      return sync.promise
    },
    async [Symbol.asyncDispose]() {},
  }
  const store = openSqliteStore(newFile(), { log })
  await store.create({ id: 'd1', app: 'shop', options, source: null })
  const { epoch } = (await store.claim())!
  return { store, syncs, holder: { id: 'd1', epoch } }
}

/** Whether it has settled when all that waits for nothing has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.finally(() => (settled = true))
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  return settled
}

test('a build goes on while its states and lines are synced, and they share a sync', async () => {
  const { store, syncs, holder } = await heldStore()
  await nextTurn()
  expect(syncs).toHaveLength(1) // of the claim
  await store.append(holder, [{ type: 'note', text: 'one' }])
  await store.advance(holder, 'fetching', 'analyzing')
  await store.advance(holder, 'analyzing', 'building')
  expect(await store.find('d1')).toMatchObject({ state: 'building' })
  syncs[0]!.resolve()
  await nextTurn()
  expect(syncs).toHaveLength(2)
  syncs[1]!.resolve()
  await nextTurn()
  expect(syncs).toHaveLength(2)
})

test('nobody reads an event before it is on disk', async () => {
  const { store, syncs } = await heldStore()
  const read = store.eventsAfter('d1', 0, 10)
  expect(await isSettled(read)).toBe(false)
  syncs[0]!.resolve()
  expect(await read).toMatchObject([{ state: 'pending' }, { state: 'fetching' }])
})

test('the intent of an effect is on disk before the effect', async () => {
  const { store, syncs, holder } = await heldStore()
  const saved = store.amend(holder, { rollout: { intent: 'create' } })
  syncs[0]!.resolve()
  await nextTurn()
  expect(syncs).toHaveLength(2)
  expect(await isSettled(saved)).toBe(false)
  syncs[1]!.resolve()
  expect(await saved).toBe(true)
})

test('a sync that failed fails its readers, and the next one is tried', async () => {
  const { store, syncs, holder } = await heldStore()
  await nextTurn()
  syncs[0]!.reject(new Error('the disk is broken'))
  await expect(store.eventsAfter('d1', 0, 10)).rejects.toThrow('the disk is broken')
  await store.append(holder, [{ type: 'note', text: 'one' }])
  await nextTurn()
  syncs[1]!.resolve()
  expect(await store.eventsAfter('d1', 0, 10)).toHaveLength(3)
})

test('what begins and what ends is synced by SQLite itself, before the answer', async () => {
  const { store, syncs, holder } = await heldStore()
  await nextTurn()
  await store.advance(holder, 'fetching', 'build_failed')
  await store.create({ id: 'd2', app: 'shop', options, source: null })
  await nextTurn()
  expect(syncs).toHaveLength(1)
})

test('SQLite syncs each transaction itself, except one that is synced soon', () => {
  using db: DatabaseSync = openDatabase(newFile())
  const level = () => Number(db.prepare('PRAGMA synchronous').get()!['synchronous'])
  let begun = 0
  const transaction = transactionsOn(db, () => false, { begin: () => void begun++ })
  const levels = [level(), transaction(level), transaction(level, 'soon'), level()]
  expect(levels).toEqual([2, 2, 1, 2])
  expect(begun).toBe(0) // it wrote nothing
  const fails = () => {
    throw new Error('no')
  }
  expect(() => transaction(fails, 'soon')).toThrow('no')
  expect(level()).toBe(2)
})

test('a real write-ahead log is synced', async () => {
  await using store = openSqliteStore(newFile())
  await store.create({ id: 'd1', app: 'shop', options, source: null })
  await store.claim()
  expect(await store.eventsAfter('d1', 0, 10)).toHaveLength(2)
})
