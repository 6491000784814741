import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recordDisk } from '../../../gateway/src/host/disk/record-disk.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const folder = () => mkdtempSync(join(tmpdir(), 'disk-samples-'))
const dayMs = 86_400_000
const now = Date.UTC(2026, 10, 30, 12, 7)
const sampleAt = (ms: number, freeBytes: number) => ({
  at: new Date(ms).toISOString(),
  sizeBytes: 100,
  freeBytes,
  cacheBytes: null,
  sourceBytes: 0,
})

test('the store keeps one sample of each 10 minutes, the newest, for 14 days', async () => {
  await using store = openSqliteStore(join(folder(), 'tarmac.db'))
  const { status } = store
  for (let at = now - 15 * dayMs; at <= now; at += 600_000)
    await status.addDiskSample(sampleAt(at, 50))
  await status.addDiskSample(sampleAt(now + 60_000, 40))
  const samples = await status.diskSamples()
  expect(samples).toHaveLength(14 * 144)
  expect(samples[0]!.at).toBe('2026-11-16T12:10:00.000Z')
  expect(samples.slice(-2).map(({ at, freeBytes }) => [at, freeBytes])).toEqual([
    ['2026-11-30T11:50:00.000Z', 50],
    ['2026-11-30T12:00:00.000Z', 40],
  ])
})

test('a sample has the real disk, and no cache while the build daemon does not answer', async () => {
  await using store = openSqliteStore(join(folder(), 'tarmac.db'))
  const cache = { usage: () => Promise.reject(new Error('away')) }
  const keep = { keepSources: 1, keepSourcesMib: 1, keepSourcesDays: 1 }
  await recordDisk({ root: folder(), cache, store: store.status, keep })
  await recordDisk({ root: '/nowhere', cache, store: store.status, keep })
  const samples = await store.status.diskSamples()
  expect(samples).toMatchObject([{ cacheBytes: null, sourceBytes: 0 }])
  expect(samples[0]!.freeBytes).toBeGreaterThan(0)
  expect(samples[0]!.sizeBytes).toBeGreaterThan(samples[0]!.freeBytes)
})
