import { execFileSync } from 'node:child_process'
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TreeEntry } from '../../api/tree.ts'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { file, hardLink, tar } from '../archives.ts'
import {
  bearer,
  begin,
  chunk,
  type Door,
  doors,
  lastChunk,
  send,
} from '../gateway/http/edge/doors.ts'
import { formOf } from '../gateway/http/fuzz/requests.ts'
import { authorization, startHttp } from '../gateway/http/start-http.ts'
import { fileOf, manifestOf, packOf } from '../gateway/sources/sent-trees.ts'
import { made, octets, offsetOf, patch, tus } from '../gateway/http/uploads/tus-calls.ts'

// 413 and 507 come before the disk is full: every door of a gateway whose volume is 48 MiB.

const mebibyte = 2 ** 20
const sizeMib = 48
/** A quarter of the low mark stays free: 2.4 MiB, and 5 % of the files. */
const low = { share: 0.2 }
const keptFree = { bytes: sizeMib * mebibyte * 0.05, files: 150 }

const open = new AsyncDisposableStack()
let volume: string
let disk: DiskWatch
let http: Awaited<ReturnType<typeof startHttp>>
let least = { bytes: Infinity, files: Infinity }

beforeAll(async () => {
  volume = await mkdtemp(join(tmpdir(), 'tarmac-small-disk-'))
  open.defer(() => rm(volume, { recursive: true }))
  const options = `size=${sizeMib}m,nr_inodes=3000`
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', volume])
  open.defer(() => void execFileSync('umount', [volume]))
  const store = open.use(openSqliteStore(join(volume, 'tarmac.db')))

  const limits = { diskLow: low, expandedBytes: 34 * mebibyte, ratio: 10_000 }
  const sources = open.use(await Sources.open({ dir: volume, limits }))
  disk = open.use(
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
  const assertAccepting: DiskWatch['reserve'] = (upload) => disk.reserve(upload)
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
const chunked = 'Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
const noSpace = { status: 507, code: 'no-space' }

const doorOf = (name: string) => doors.find((door) => door.name === name)!
const sendChunked = async (name: string, bytes: Buffer) =>
  send(http, `${await doorOf(name).head(http)}${chunked}`, chunk(bytes), lastChunk)
const inForm = (archive: Buffer) => formOf({ source: archive })
const listOf = (entries: TreeEntry[]) => Buffer.from(JSON.stringify(manifestOf(entries)))
const partOf = (path: string) =>
  `PATCH ${path} HTTP/1.1\r\n${bearer}Tus-Resumable: 1.0.0\r\nContent-Type: ${octets}\r\nUpload-Offset: 0\r\n`

/** Takes room of the disk for something else. */
function fillBy(mebibytes: number): Disposable {
  const path = join(volume, 'others')
  writeFileSync(path, Buffer.alloc(mebibytes * mebibyte))
  return { [Symbol.dispose]: () => rmSync(path) }
}

/** The disk was never full, has its space again, nothing is left, and the next source is taken and recorded. */
async function expectWell(): Promise<void> {
  expect(least.bytes).toBeGreaterThan(keptFree.bytes * 0.9)
  expect(least.files).toBeGreaterThan(keptFree.files * 0.5)
  await expect.poll(() => readdir(join(volume, 'spool'))).toEqual([])
  await expect.poll(() => disk.space.freeBytes).toBeGreaterThan(0.7 * disk.space.sizeBytes)
  const [[, { head }]] = each as [[string, Door]]
  const small = tar(file('index.html', 'small'))
  const line = `${await head(http)}Connection: close\r\nContent-Length: ${small.length}\r\n\r\n`
  await expect
    .poll(async () => (await send(http, line, small)).status, { timeout: 15_000 })
    .toBe(202)
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

const largest = 40 * mebibyte
const emptyFile = { type: 'file', path: 'big', mode: 0o644, sha256: 'a'.repeat(64) } as const
const tooLarge: [door: string, bytes: Buffer][] = [
  ['an archive as the body', file('big', Buffer.alloc(largest))],
  ['an archive in a form', inForm(file('big', Buffer.alloc(largest)))],
  ['the list of a tree', listOf([{ ...emptyFile, sizeBytes: largest }])],
  ['a pack', packOf(Buffer.alloc(largest))],
]
test.each(tooLarge)('%s: more than a tree may have is 413', async (name, bytes) => {
  expect(await sendChunked(name, bytes)).toMatchObject({ status: 413, code: 'archive-too-large' })
  await expectWell()
})

const smallFiles = Array.from({ length: 500 }, (_, at) => Buffer.alloc(60_000, String(at)))
const archiveOf = (files: Buffer[]) => tar(...files.map((content, at) => file(`${at}`, content)))
const linked = tar(
  file('original', Buffer.alloc(5 * mebibyte)),
  ...Array.from({ length: 5 }, (_, at) => hardLink(`link-${at}`, 'original')),
)
const folders = Array.from({ length: 3500 }, (_, at): TreeEntry => ({
  type: 'folder',
  path: `folder-${at}`,
}))
const growing: [door: string, what: string, bytes: Buffer][] = [
  ['an archive as the body', 'a large file', file('big', Buffer.alloc(30 * mebibyte))],
  ['an archive as the body', 'small files', archiveOf(smallFiles)],
  ['an archive as the body', 'copies of a hard link', linked],
  ['an archive as the body', 'more files than fit', archiveOf(Array(3500).fill(Buffer.alloc(0)))],
  ['an archive in a form', 'small files', inForm(archiveOf(smallFiles))],
  ['a pack', 'small files', packOf(...smallFiles)],
  ['a pack', 'a large file', packOf(Buffer.alloc(30 * mebibyte))],
  ['the list of a tree', 'more folders than fit', listOf([fileOf('sent', 'sent'), ...folders])],
]
test.each(growing)('%s: %s, unannounced: 507 before the disk is full', async (name, _, bytes) => {
  await sendChunked('a pack', packOf('sent')) // of the list
  {
    using _others = fillBy(20)
    const answer = await sendChunked(name, bytes)
    expect(answer).toMatchObject(noSpace)
    expect(answer.text).toMatch(/^Retry-After: 30\r$/m)
  }
  await expectWell()
})

test('a part of a resumable upload is cut when the disk fills meanwhile, and goes on later', async () => {
  const bytes = archiveOf(smallFiles)
  const path = await made(http.url, bytes.length)
  const line = await begin(http, partOf(path), bytes.length)
  await new Promise((resolve) => line.write(bytes.subarray(0, 10 * mebibyte), resolve))
  {
    using _others = fillBy(20)
    line.write(bytes.subarray(10 * mebibyte))
    expect(await line.answer).toMatchObject(noSpace)
  }
  const offset = Number(await offsetOf(http.url, path))
  expect(offset).toBeGreaterThan(mebibyte)
  const rest = { at: offset, body: bytes.subarray(offset) }
  const sendRest = async () => (await patch(http.url, path, rest)).status
  await expect.poll(sendRest, { timeout: 15_000 }).toBe(204)

  // It is unpacked when it is deployed, which takes as much once more.
  const body = JSON.stringify({ source: { upload: path.split('/').at(-1) } })
  const answer = await fetch(`${http.url}/v1/apps/shop/deployments`, {
    method: 'POST',
    headers: { ...authorization, 'Content-Type': 'application/json' },
    body,
  })
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
    507,
    'no-space',
  ])
  expect(await offsetOf(http.url, path)).toBe(String(bytes.length))
  await tus(http.url, 'DELETE', {}, { path })
  await expectWell()
})

test('sources that are unpacked share a part of the disk', async () => {
  await using sources = await Sources.open({ dir: volume, limits: { spoolSpace: { share: 0.3 } } })
  const receive = (bytes: Buffer) =>
    sources.receive(Readable.from([bytes]), { signal: AbortSignal.timeout(30_000) })
  await expect(receive(archiveOf(smallFiles))).rejects.toMatchObject({
    code: 'no-space',
    message: expect.stringContaining('TARMAC_SPOOL_SPACE'),
  })
  await receive(archiveOf(smallFiles.slice(0, 100)))
})
