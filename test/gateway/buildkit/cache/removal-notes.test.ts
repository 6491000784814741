import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { CacheRecord } from '../../../../gateway/src/buildkit/cache/cache-records.ts'
import {
  type CacheRemoval,
  RemovalNotes,
} from '../../../../gateway/src/buildkit/cache/removal-notes.ts'
import { openSqliteStore } from '../../../../gateway/src/store/sqlite.ts'

const record = (id: string, inUse = false): CacheRecord => ({
  id,
  inUse,
  sizeBytes: 2 ** 20,
  createdMs: 0,
  lastUsedMs: 0,
  kind: 'layer',
  mountKey: null,
  parents: [],
})
function notes() {
  const heard: CacheRemoval[] = []
  const all = new RemovalNotes()
  all.listener = (removal) => heard.push(removal)
  return { all, heard }
}

test('a part has the first reason that names it', () => {
  const { all, heard } = notes()
  const reasons = [
    ['unused', [{ id: 'a' }, { id: 'b' }]],
    ['app-limit', [{ id: 'b' }, { id: 'c' }]],
    ['team-share', [{ id: 'd' }]],
  ] as const
  all.reportBy(
    reasons,
    new Map([
      ['b', 2],
      ['c', 3],
    ]),
  )
  expect(heard).toEqual([
    { why: 'unused', app: null, count: 1, bytes: 2 },
    { why: 'app-limit', app: null, count: 1, bytes: 3 },
  ])
})

test('what is missing, and neither removed by the gateway nor in use before, the daemon removed', () => {
  const { all, heard } = notes()
  all.look([record('kept'), record('own'), record('gone'), record('used', true)])
  const removed = all.removed(new Map([['own', 2 ** 20]]))
  all.report('asked', removed, 'shop')
  // This look began before the removal.
  all.look([record('kept'), record('own'), record('gone'), record('used', true)])
  all.look([record('kept'), { ...record('small'), sizeBytes: 9000 }])
  all.look([record('kept')])
  expect(heard).toEqual([
    { why: 'asked', app: 'shop', count: 1, bytes: 2 ** 20 },
    { why: 'daemon', app: null, count: 1, bytes: 2 ** 20 },
  ])
})

test('the store keeps the newest 500 removals of 14 days', async () => {
  let now = Date.UTC(2026, 10, 1)
  const path = join(mkdtempSync(join(tmpdir(), 'removals-')), 'tarmac.db')
  await using store = openSqliteStore(path, { now: () => now })
  const add = (count: number) =>
    store.status.addRemoval({ what: 'sources', why: 'unused', app: null, count, bytes: null })
  for (let at = 1; at <= 510; at++) await add(at)
  const counts = async () => (await store.status.removals()).map(({ count }) => count)
  expect(await counts()).toEqual(Array.from({ length: 500 }, (_, at) => 510 - at))
  now += 15 * 86_400_000
  await add(1)
  expect(await store.status.removals()).toEqual([
    {
      at: new Date(now).toISOString(),
      what: 'sources',
      why: 'unused',
      app: null,
      count: 1,
      bytes: null,
    },
  ])
})
