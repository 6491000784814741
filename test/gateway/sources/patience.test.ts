import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import type { Limits } from '../../../gateway/src/sources/limits.ts'
import { uploadThreads } from '../../../gateway/src/sources/upload.ts'
import { file, tar } from '../../archives.ts'

let dir: string
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-patience-'))))
afterEach(() => rm(dir, { recursive: true }))

const signal = AbortSignal.timeout(60_000)
const spool = () => readdir(join(dir, 'spool'))
const open = (limits: Partial<Limits>) => Sources.open({ dir, limits })
const small = () => Readable.from([tar(file('a'))], { objectMode: false })

/** Sends an archive in parts of `bitBytes`, one part every `everyMs`. */
function dripped(bitBytes: number, everyMs: number): Readable {
  const body = new PassThrough()
  const bytes = tar(file('a', 'x'.repeat(20_000)))
  let at = 0
  const timer = setInterval(() => {
    body.write(bytes.subarray(at, (at += bitBytes)))
    if (at >= bytes.length) body.end()
    if (at >= bytes.length || body.destroyed) clearInterval(timer)
  }, everyMs)
  timer.unref()
  return body
}

test('a body that comes too slowly is refused, though it is never silent, and leaves nothing', async () => {
  await using sources = await open({ idleMs: 5_000, rateWindowMs: 300, minBytesPerS: 4096 })
  await expect(sources.receive(dripped(1, 20), { signal })).rejects.toMatchObject({
    code: 'upload-stalled',
    facts: { phase: 'receive', minBytesPerS: 4096 },
  })
  expect(await spool()).toEqual([])
})

test('a slow body that keeps the minimum rate is accepted', async () => {
  await using sources = await open({ rateWindowMs: 100, minBytesPerS: 4096 })
  await expect(sources.receive(dripped(1024, 20), { signal })).resolves.toMatchObject({ files: 1 })
})

test('an archive that takes too long to check is refused with its phase, and leaves nothing', async () => {
  await using sources = await open({ unpackMs: 5 })
  const files = Array.from({ length: 3000 }, (_, i) => file(`${i}`, 'x'.repeat(2000)))
  const body = Readable.from([tar(...files)], { objectMode: false })
  await expect(sources.receive(body, { signal })).rejects.toMatchObject({
    code: 'time-limit',
    facts: { phase: 'unpack', limitMs: 5 },
  })
  expect(await spool()).toEqual([])
})

test('waiting for the sender does not count as check time', async () => {
  await using sources = await open({ unpackMs: 2_000, idleMs: 10_000 })
  const body = dripped(1100, 150) // about 3 s
  await expect(sources.receive(body, { signal })).resolves.toMatchObject({ files: 1 })
})

test('a bad archive is refused at once, even while the sender is silent', async () => {
  await using sources = await open({ idleMs: 20_000 })
  const body = new PassThrough()
  body.write(file('../a'))
  await expect(
    sources.receive(body, { signal: AbortSignal.timeout(10_000) }),
  ).rejects.toMatchObject({
    code: 'archive-path-escape',
  })
})

test('a thread that dies fails the uploads on it as internal, leaves nothing, and the next upload is taken', async () => {
  await using sources = await open({})
  const body = new PassThrough()
  body.write(tar(file('a', Buffer.alloc(8_000_000))).subarray(0, 6_000_000))
  const upload = sources.receive(body, { signal })
  const refused = expect(upload).rejects.toMatchObject({ code: 'internal' })
  await expect.poll(spool).not.toEqual([])

  uploadThreads.killAll()
  await refused
  expect(await spool()).toEqual([])
  await expect(sources.receive(small(), { signal })).resolves.toMatchObject({ files: 1 })
})
