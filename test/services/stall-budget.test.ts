import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ContextServer } from '../../gateway/src/buildkit/context/context-server.ts'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { end, file, link } from '../archives.ts'
import { longestHold } from '../longest-hold.ts'

/** The budget of test/gateway/stall-budget.test.ts, at the largest size within the limits. */
const budgetMs = 100

let dir: string
let sources: Sources
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-stall-'))
  sources = await Sources.open({ dir })
})
afterAll(async () => {
  await sources[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

function* archive(count: number, entry: (i: number) => Buffer): Generator<Buffer> {
  yield file('a')
  for (let i = 0; i < count; i += 100)
    yield Buffer.concat(Array.from({ length: 100 }, (_, n) => entry(i + n)))
  yield end
}

async function receive(pieces: Iterable<Buffer>): Promise<{ digest: string; longestMs: number }> {
  let digest = ''
  const { longestMs } = await longestHold(async () => {
    const body = Readable.from(pieces, { objectMode: true, highWaterMark: 1 })
    digest = (await sources.receive(body, { signal: AbortSignal.timeout(110_000) })).digest
  })
  return { digest, longestMs }
}

test('an archive of 10,000 links holds the event loop for no more than its budget', async () => {
  const { longestMs } = await receive(archive(9_900, (i) => link(`b/c/d/e/f/g/${i}`, '../../a')))
  expect(longestMs).toBeLessThan(budgetMs)
})

test('an archive of 240,000 files does neither, nor does its context under 1,000 ignore patterns', async () => {
  const { digest, longestMs } = await receive(
    archive(240_000, (i) => file(`folder-${i % 900}/file-${i}.js`, '')),
  )
  expect(longestMs).toBeLessThan(budgetMs)

  await using server = await ContextServer.open(0, Buffer.from('key'))
  const patterns = Array.from({ length: 1_000 }, (_, i) => `**/x${i}*y`)
  let sentBytes = 0
  const hold = await longestHold(async () => {
    using context = server.serveContext('app', await sources.tree(digest), patterns)
    for await (const piece of (await fetch(context.url)).body!) sentBytes += piece.length
  })
  expect(sentBytes).toBeGreaterThan(240_000 * 512)
  expect(hold.longestMs).toBeLessThan(budgetMs)
})
