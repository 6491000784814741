import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { Uploads, type UploadsOptions } from '../../../../gateway/src/sources/uploads/uploads.ts'

let dir: string
let uploads: Uploads
const open = (more: Partial<UploadsOptions> = {}) =>
  Uploads.open({ dir, keepMs: 60_000, perCaller: 5, maxBytes: () => 2 ** 30, ...more })
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-uploads-'))
  uploads = await open()
})
afterEach(async () => {
  await uploads[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

const signal = AbortSignal.timeout(60_000)
const asked = { app: 'shop', uploader: 'ci', team: null, metadata: null, digest: null }
const create = (lengthBytes: number, more: object = {}) =>
  uploads.create({ ...asked, lengthBytes, ...more })
const part = (body: Readable | Buffer | string, offsetBytes = 0) => ({
  offsetBytes,
  body: body instanceof Readable ? body : Readable.from([Buffer.from(body)]),
  checksum: null,
  signal,
})
const again = async (more: Partial<UploadsOptions> = {}) => {
  await uploads[Symbol.asyncDispose]()
  uploads = await open(more)
}
const codeOf = async (work: Promise<unknown>) => {
  const error = await work.catch((problem: unknown) => problem)
  expect(error).toBeInstanceOf(Problem)
  return (error as Problem).code
}
const bytesOf = (id: string) => join(dir, 'uploads', id, 'bytes')
/** Resolves when so many bytes are in the file, synced or not. */
const written = (id: string, bytes: number) =>
  expect.poll(async () => (await stat(bytesOf(id))).size).toBe(bytes)
/** A body that stops in the middle, as of a connection that is dead. */
const dead = (bytes: number) => {
  const body = new PassThrough()
  body.write(Buffer.alloc(bytes, 'a'))
  return body
}

test('an upload and its offset survive a restart, and its bytes are those that were sent', async () => {
  const bytes = randomBytes(300_000)
  const { id } = await create(bytes.length)
  await uploads.append(id, part(bytes.subarray(0, 100_000)))
  await again()
  expect(uploads.find(id)).toMatchObject({ ...asked, offsetBytes: 100_000 })
  await uploads.append(id, part(bytes.subarray(100_000), 100_000))
  await again()
  expect(bytes.equals(await buffer(uploads.body(id)))).toBe(true)
})

test('bytes beyond the recorded offset do not count after a restart', async () => {
  const { id } = await create(10)
  await uploads.append(id, part('abc'))
  await uploads[Symbol.asyncDispose]()
  await writeFile(bytesOf(id), 'abcXYZ')
  uploads = await open()
  expect(uploads.find(id)!.offsetBytes).toBe(3)
  await uploads.append(id, part('defghij', 3))
  expect(String(await buffer(uploads.body(id)))).toBe('abcdefghij')
})

test('a newcomer ends the request before it, and keeps what that one has written', async () => {
  const { id } = await create(100_000)
  const first = codeOf(uploads.append(id, part(dead(1000))))
  await written(id, 1000)
  expect((await uploads.settle(id))!.offsetBytes).toBe(1000)
  expect(await first).toBe('upload-conflict')

  const second = codeOf(uploads.append(id, part(dead(500), 1000)))
  await written(id, 1500)
  const third = uploads.append(id, part('c', 1500))
  expect(await second).toBe('upload-conflict')
  expect((await third).offsetBytes).toBe(1501)
})

test('of many requests at one offset, one writes and the others are refused', async () => {
  const { id } = await create(1000)
  const all = await Promise.allSettled(
    Array.from({ length: 20 }, () => uploads.append(id, part('abc'))),
  )
  const refused = all.filter(({ status }) => status === 'rejected')
  expect(refused.length).toBeGreaterThan(0)
  expect(refused.map(({ reason }: any) => reason.code)).toEqual(
    refused.map(() => 'upload-conflict'),
  )
  expect(uploads.find(id)!.offsetBytes).toBe(3)
})

test('a part with a checksum counts as a whole or not at all', async () => {
  const { id } = await create(2000)
  const digest = createHash('sha1').update(Buffer.alloc(1000, 'a')).digest()
  const checksum = { algorithm: 'sha1', digest } as const
  const begun = codeOf(uploads.append(id, { ...part(dead(1000)), checksum }))
  await written(id, 1000)
  expect((await uploads.settle(id))!.offsetBytes).toBe(0)
  expect(await begun).toBe('upload-conflict')
  const wrong = uploads.append(id, { ...part(Buffer.alloc(1000, 'b')), checksum })
  expect(await codeOf(wrong)).toBe('upload-checksum-mismatch')
  const right = await uploads.append(id, { ...part(Buffer.alloc(1000, 'a')), checksum })
  expect(right.offsetBytes).toBe(1000)
})

test('more bytes than announced never finish an upload', async () => {
  const { id } = await create(5)
  const pieces = Readable.from([Buffer.from('abcde'), Buffer.from('f')])
  expect(await codeOf(uploads.append(id, part(pieces)))).toBe('upload-too-long')
  expect(uploads.find(id)!.offsetBytes).toBe(0)
})

test('removing an upload ends its request, and nothing stays on the disk', async () => {
  const { id } = await create(100)
  const writing = codeOf(uploads.append(id, part(dead(10))))
  await written(id, 10)
  await uploads.remove(id)
  expect(await writing).toBe('upload-not-found')
  expect(await codeOf(uploads.append(id, part('a', 10)))).toBe('upload-not-found')
  expect(await readdir(join(dir, 'uploads'))).toEqual([])
})

test('the gateway’s stop keeps what has arrived', async () => {
  const { id } = await create(100)
  const writing = codeOf(uploads.append(id, part(dead(10))))
  await written(id, 10)
  await again()
  expect(await writing).toBe('stopping')
  expect(uploads.find(id)!.offsetBytes).toBe(10)
})

test('a caller has so many uploads, and all together so many bytes', async () => {
  const { id: first } = await create(1)
  for (let at = 1; at < 5; at++) await create(1)
  expect(await codeOf(create(1))).toBe('upload-limit')
  expect((await create(1, { uploader: 'other' })).offsetBytes).toBe(0)
  await again({ maxBytes: () => 200_000 })
  expect(await codeOf(create(200_000, { uploader: 'other' }))).toBe('no-space')
  await uploads.remove(first)
  expect((await create(1)).offsetBytes).toBe(0)
})

test('the limit of a caller holds for uploads that are made at the same time', async () => {
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => create(1)))
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
})

test('expired uploads do not count, and are swept', async () => {
  const { id } = await create(10, { team: 'web' })
  await uploads.append(id, part('abc'))
  expect(uploads.countOf('web')).toBe(1)
  await again({ keepMs: 1 })
  await expect.poll(() => uploads.find(id)).toBe(null)
  expect(uploads.countOf('web')).toBe(0)
  expect(await uploads.sweep()).toEqual({ removed: 1 })
  expect(await readdir(join(dir, 'uploads'))).toEqual([])
})

test('an upload that is being written does not expire', async () => {
  const { id } = await create(100)
  await again({ keepMs: 1 })
  uploads = await open({ keepMs: 60_000 })
  const writing = codeOf(uploads.append(id, part(dead(10))))
  await written(id, 10)
  expect(await uploads.sweep()).toEqual({ removed: 0 })
  await uploads.settle(id)
  await writing
})

test.each([
  ['no facts', 'facts.json'],
  ['no offset', 'offset'],
])('what a crash left with %s is removed at the start', async (_, name) => {
  const { id } = await create(10)
  await truncate(join(dir, 'uploads', id, name))
  await again()
  expect(uploads.find(id)).toBe(null)
  expect(await readdir(join(dir, 'uploads'))).toEqual([])
})
