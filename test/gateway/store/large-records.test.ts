import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { longestHold } from '../../longest-hold.ts'

// One form of 86 KB. Each `POST /v1/deployments/{id}/retry` (no body) adds another such record of
// 517 KB to the queue.
const env = { A: '\x01'.repeat(43_000), B: '\x01'.repeat(43_000) }
const source = { digest: 'sha256:aa', files: 1, sizeBytes: 2 }
const budgetMs = 100

let dir: string
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'tarmac-fat-'))))
afterEach(() => rmSync(dir, { recursive: true }))

async function fatQueue(count: number) {
  const store = openSqliteStore(join(dir, 'tarmac.db'))
  const options = DeploymentOptions.parse({ lane: 'fifo', env })
  for (let i = 0; i < count; i++)
    await store.create({ id: randomUUID(), app: 'shop', options, source })
  return store
}

test('one more deployment, a claim and a start with 400 large deployments in the queue of an app', async () => {
  await using store = await fatQueue(400)
  const options = DeploymentOptions.parse({ lane: 'latest' })
  const { longestMs: makeMs } = await longestHold(() =>
    store.create({ id: randomUUID(), app: 'shop', options, source }),
  )
  expect(makeMs).toBeLessThan(budgetMs)

  const limits = { builds: 2, appBuilds: 1, deploys: 8 }
  const { longestMs: claimMs } = await longestHold(async () => {
    const { deployment, epoch } = (await store.claim(limits))!
    await store.advance({ id: deployment.id, epoch }, 'fetching', 'pending')
    await store.publishQueuePositions(limits)
  })
  expect(claimMs).toBeLessThan(budgetMs)

  const before = process.memoryUsage().heapUsed
  const { longestMs } = await longestHold(() =>
    store.startLife({ boot: 'a', maxDeaths: 3 }, 'stopped'),
  )
  // All records at once would take 200 MB.
  expect((process.memoryUsage().heapUsed - before) / 2 ** 20).toBeLessThan(100)
  expect(longestMs).toBeLessThan(budgetMs)
}, 60_000)

test('the list of an app with large deployments', async () => {
  await using store = await fatQueue(80)
  const { longestMs } = await longestHold(async () => {
    // the same work as GET …/deployments?limit=100
    Buffer.from(visibleJson(await store.list('shop', { limit: 100, before: null })))
  })
  expect(longestMs).toBeLessThan(budgetMs)
}, 60_000)
