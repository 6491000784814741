import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { type TreeEntry } from '#api/tree.ts'
import { ContextServer } from '../../gateway/src/buildkit/context/context-server.ts'
import { writeManifest } from '../../gateway/src/host/tree-manifest.ts'
import { findLog } from '../../gateway/src/commands/deployments.ts'
import { authorizer, prover } from '../../gateway/src/http/auth.ts'
import { downloadLog } from '../../gateway/src/http/log/download.ts'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { onPlan } from '../../gateway/src/railpack/plan-work.ts'
import { sourceTree } from '../../gateway/src/buildkit/context/source-node.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { end, file, link, pax, tar } from '../archives.ts'
import { longestHold } from '../longest-hold.ts'

/** No caller's input may hold the event loop for longer, in CPU time of its thread. */
const budgetMs = 100

let dir: string
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-stall-'))))
afterEach(() => rm(dir, { recursive: true }))

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const many = (parts: Buffer[]) => Buffer.concat([...parts, end])

const archives: [what: string, make: () => Buffer][] = [
  [
    '3,000 links from deep folders',
    () => many([file('a'), ...times(3_000, (i) => link(`b/c/d/e/f/g/${i}`, '../../a'))]),
  ],
  [
    'large pax headers',
    () =>
      many(times(500, (i) => Buffer.concat([pax({ comment: 'x'.repeat(60_000) }), file(`${i}`)]))),
  ],
  ['a gzip bomb', () => gzipSync(tar(file('a', Buffer.alloc(64 * 2 ** 20))))],
  ['a zstd bomb', () => zstdCompressSync(tar(file('a', Buffer.alloc(64 * 2 ** 20))))],
  ['gzip members of nothing', () => Buffer.concat(times(5_000, () => gzipSync('')))],
  ['zeros behind its end', () => Buffer.concat([tar(file('a')), Buffer.alloc(64 * 2 ** 20)])],
]

test.each(archives)(
  'an archive with %s',
  async (_, make) => {
    const bytes = make()
    await using sources = await Sources.open({ dir })
    const pieces = times(Math.ceil(bytes.length / 65_536), (i) =>
      bytes.subarray(i * 65_536, (i + 1) * 65_536),
    )
    const hold = await longestHold(async () => {
      const signal = AbortSignal.timeout(60_000)
      await sources.receive(Readable.from(pieces), { signal }).catch(() => {}) // some are refused
    })
    expect(hold.longestMs).toBeLessThan(budgetMs)
  },
  60_000,
)

/** A tree that exists only as its list of entries. */
async function largeTree(): Promise<{ digest: string; entries: TreeEntry[] }> {
  const entries = times(200_000, (i): TreeEntry => ({
    type: 'folder',
    path: `folder-${1_000_000 + i}`,
  }))
  const digest = `sha256:${'a'.repeat(64)}`
  const folder = join(dir, 'trees', 'a'.repeat(64))
  await mkdir(folder, { recursive: true })
  await writeManifest(join(folder, 'manifest.json'), { digest, files: 0, sizeBytes: 0, entries })
  return { digest, entries }
}

test('a kept source of 200,000 entries, read back and sent to the daemon under 100 ignore patterns', async () => {
  const { digest, entries } = await largeTree()
  await using sources = await Sources.open({ dir })
  await using server = await ContextServer.open(0, Buffer.from('key'))
  const patterns = times(100, (i) => `**/x${i}*y`)
  let sentBytes = 0
  const hold = await longestHold(async () => {
    const tree = await sources.tree(digest)
    expect(tree.entries.length).toBe(entries.length)
    using context = server.serveContext('app', tree, patterns)
    const answer = await fetch(context.url)
    for await (const piece of answer.body!) sentBytes += piece.length
  })
  expect(sentBytes).toBe((1 + entries.length) * 512 + 1024) // with the root and the end
  expect(hold.longestMs).toBeLessThan(budgetMs)
}, 60_000)

test('a plan of a megabyte', async () => {
  const variables = Object.fromEntries(times(60_000, (i) => [`V${i}`, 'x'.repeat(8)]))
  const steps = [
    { name: 'build', inputs: [{ image: 'a' }], variables, commands: [{ cmd: 'make' }] },
  ]
  const plan = JSON.stringify({
    steps,
    deploy: { base: { image: 'a' }, inputs: [{ step: 'build', include: ['.'] }] },
  })
  const how = {
    cacheKey: '',
    secretsHash: '',
    platform: 'linux/amd64',
    source: sourceTree({ url: 'http://a/b' }),
    builtAt: new Date(),
  }
  const hold = await longestHold(async () => {
    await onPlan.needs(plan).catch(() => {}) // it may be refused
    await onPlan.compile(plan, how).catch(() => {})
  })
  expect(hold.longestMs).toBeLessThan(budgetMs)
}, 60_000)

test('the download of a log of 16 MiB, by a reader that takes all at once', async () => {
  await using store = openSqliteStore(join(dir, 'tarmac.db'))
  await store.create({ id: 'd1', app: 'shop', options: DeploymentOptions.parse({}), source: null })
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  const texts = [
    'x'.repeat(65_536),
    'word\n'.repeat(13_000),
    '\n'.repeat(65_536),
    'a\r'.repeat(32_768),
  ]
  for (let i = 0; i < 64; i++)
    await store.append(
      holder,
      texts.map((text) => ({ type: 'log', step: 's', stream: 'stdout', text })),
    )
  let bytes = 0
  const response = Object.assign(
    new Writable({ write: (piece: Buffer, _, done) => ((bytes += piece.length), done()) }),
    { set: () => {}, setTimeout: () => {} },
  )
  const request = {
    params: { id: 'd1' },
    url: '/',
    headers: { host: 'localhost' },
    headersDistinct: {},
    socket: {},
    acceptsEncodings: () => 'identity',
  }
  await authorizer(prover(null), null)(request as never)
  const hold = await longestHold(
    () =>
      downloadLog({ logOf: (_caller, id) => findLog(store, id) }, { store })(
        request as never,
        response as never,
        () => {},
      ) as never,
  )
  expect(bytes).toBeGreaterThan(16 * 2 ** 20)
  expect(hold.longestMs).toBeLessThan(budgetMs)
}, 60_000)

test('a queue of 10,000', async () => {
  await using store = openSqliteStore(':memory:')
  const options = DeploymentOptions.parse({ lane: 'fifo' })
  for (let i = 0; i < 9_999; i++)
    await store.create({ id: `d${i}`, app: 'shop', options, source: null })
  const hold = await longestHold(async () => {
    await store.publishQueuePositions({ builds: 2, appBuilds: 1, deploys: 8 })
    await store.claim({ builds: 2, appBuilds: 1, deploys: 8 })
    await store.create({ id: 'last', app: 'shop', options, source: null })
    await store.expireQueued(-1_000)
  })
  expect(hold.longestMs).toBeLessThan(budgetMs)
}, 60_000)
