import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { file, hardLink, tar } from '../archives.ts'
import { begin, chunk, type Door, doors, lastChunk, send } from '../gateway/http/edge/doors.ts'
import { startHttp } from '../gateway/http/start-http.ts'
import { sha256 } from '../gateway/sources/sent-trees.ts'

// 413 and 507 come before the disk is full: every door of a gateway whose volume is 96 MB.

const mebibyte = 2 ** 20
const sizeMib = 96
/** A quarter of the low mark stays free: 4.8 MiB, and 5 % of the files. */
const low = { share: 0.2 }
const keptFree = { bytes: sizeMib * mebibyte * 0.05, files: 150 }

const open = new AsyncDisposableStack()
let volume: string
let http: Awaited<ReturnType<typeof startHttp>>
let least = { bytes: Infinity, files: Infinity }

beforeAll(async () => {
  volume = await mkdtemp(join(tmpdir(), 'tarmac-small-disk-'))
  open.defer(() => rm(volume, { recursive: true }))
  const options = `size=${sizeMib}m,nr_inodes=3000`
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', volume])
  open.defer(() => void execFileSync('umount', [volume]))
  const store = open.use(openSqliteStore(join(volume, 'tarmac.db')))

  const limits = { diskLow: low, expandedBytes: 60 * mebibyte, ratio: 10_000 }
  const sources = open.use(await Sources.open({ dir: volume, limits }))
  const disk = open.use(
    await DiskWatch.open({
      folder: volume,
      low,
      high: { share: 0.3 },
      makeRoom: async () => {},
      makeMoreRoom: async () => {},
      log: openLog('silent'),
    }),
  )
  const uploadLimits = { dir: volume, limits, maxBytes: () => 2 ** 40 }
  const assertAccepting: typeof disk.reserve = (upload) => disk.reserve(upload)
  const own = { store, sources, uploadLimits, assertAccepting, maxUploadBytes: 2 ** 40 }
  http = open.use(await startHttp(own, { drainMs: 300 }))
  const look = setInterval(() => {
    const { bavail, bsize, ffree } = statfsSync(volume)
    least = { bytes: Math.min(least.bytes, bavail * bsize), files: Math.min(least.files, ffree) }
  }, 1)
  open.defer(() => clearInterval(look))
}, 60_000)
afterAll(() => open.disposeAsync())

const each = doors.map((door): [string, Door] => [door.name, door])
const chunked = 'Transfer-Encoding: chunked\r\n\r\n'
const noSpace = { status: 507, code: 'no-space' }

/** The disk was never full, nothing is left, and the next source is taken and recorded. */
async function expectWell(): Promise<void> {
  expect(least.bytes).toBeGreaterThan(keptFree.bytes * 0.9)
  expect(least.files).toBeGreaterThan(keptFree.files * 0.5)
  await expect.poll(() => readdir(join(volume, 'spool'))).toEqual([])
  const [[, { head }]] = each as [[string, Door]]
  const small = tar(file('index.html', 'small'))
  const line = `${await head(http)}Connection: close\r\nContent-Length: ${small.length}\r\n\r\n`
  await expect.poll(async () => (await send(http, line, small)).status, { timeout: 15_000 }).toBe(202)
}

test.each(each)('%s: more than fits is 507 before a byte', async (_, { head }) => {
  const bytes = 500 * mebibyte
  const big = (await head(http)).replace(/Upload-Length: \d+/, `Upload-Length: ${bytes}`)
  const answer = await send(http, `${big}Expect: 100-continue\r\nContent-Length: ${bytes}\r\n\r\n`)
  // A part that is longer than its upload is refused for that.
  expect([507, 413]).toContain(answer.status)
  expect(answer.text).not.toContain('100 Continue')
  await expectWell()
})

test.each(each.filter(([name]) => !name.includes('resumable')))(
  '%s: what unpacks to more than a tree may have is 413',
  async (_, { name, head }) => {
    const content = Buffer.alloc(70 * mebibyte)
    const long: Record<string, Buffer> = {
      'an archive as the body': file('big', content),
      'an archive in a form': Buffer.concat([Buffer.from(partHead), file('big', content)]),
      'the list of a tree': treeOf(70 * mebibyte),
      'a pack': file(sha256(content), content),
    }
    const answer = await send(http, `${await head(http)}${chunked}`, chunk(long[name]!), lastChunk)
    expect(answer).toMatchObject({ status: 413, code: 'archive-too-large' })
    await expectWell()
  },
)

test.each(growing())(
  '%s: what grows beyond the disk is 507 while it arrives, before the disk is full',
  async (_, name, bytes) => {
    const { head } = doors.find((door) => door.name === name)!
    const before = statfsSync(volume).bavail
    // Of what other sources may take, some is left.
    writeFileSync(join(volume, 'others'), Buffer.alloc(45 * mebibyte))
    const answer = await send(http, `${await head(http)}${chunked}`, ...bytes, lastChunk)
    expect(answer).toMatchObject(noSpace)
    expect(answer.text).toMatch(/^Retry-After: 30\r$/m)
    await rm(join(volume, 'others'))
    await expectWell()
    expect(before - statfsSync(volume).bavail).toBeLessThan(mebibyte)
  },
)
