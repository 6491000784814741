import { createHash, randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Upload } from 'tus-js-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { authorization, startWorld, type World } from '../../lab/soak/uploads/world.ts'
import { file, tar } from '../archives.ts'
import { made, octets, offsetOf, patch, tus } from '../gateway/http/uploads/tus-calls.ts'
import type { CrashPoint } from './crash-table.ts'

// A real gateway process, killed while resumable uploads arrive. tus-js-client sends, resumes and
// retries as its users have it.

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const metadata = { app: 'shop', filename: 'shop.tar' }
const token = authorization
const idIn = (url: string) => url.split('/').at(-1)!
const bytesOf = (id: string) => join(world.data, 'uploads', id, 'bytes')
/** Resolves when so many bytes of the upload are in its file, synced or not. */
const written = (id: string, bytes: number) =>
  expect
    .poll(async () => (await stat(bytesOf(id))).size, { timeout: 10_000, interval: 5 })
    .toBeGreaterThanOrEqual(bytes)

/** Runs an action that the gateway does not survive, and waits for the next gateway. */
async function killed(act: () => Promise<unknown>): Promise<void> {
  const { gateway } = world
  const before = gateway.kills
  await act()
  await expect.poll(() => gateway.kills).toBe(before + 1)
  await gateway.up
}

type Sent = { url: string; heads: number[] }
type Sending = { uploadUrl?: string; data?: boolean; onUrl?: (url: string) => void }

/** Sends it by tus-js-client. `heads`: the offsets that the gateway said when it was asked. */
function send(bytes: Buffer, { uploadUrl, data = false, onUrl }: Sending = {}): Promise<Sent> {
  const heads: number[] = []
  return new Promise((resolve, reject) => {
    const upload = new Upload(bytes, {
      endpoint: `${world.gateway.url}/v1/uploads`,
      ...(uploadUrl && { uploadUrl }),
      headers: token,
      metadata,
      chunkSize: 64 * 2 ** 20,
      uploadDataDuringCreation: data,
      storeFingerprintForResuming: false,
      retryDelays: Array<number>(600).fill(100),
      // It is called again when the upload goes on.
      onUploadUrlAvailable() {
        if (heads.length === 0) onUrl?.(upload.url!)
      },
      onAfterResponse(request, response) {
        const offset = response.getHeader('Upload-Offset')
        if (request.getMethod() === 'HEAD' && offset !== undefined) heads.push(Number(offset))
      },
      onSuccess: () => resolve({ url: upload.url!, heads }),
      onError: reject,
    })
    upload.start()
  })
}

const deploy = async (id: string, key: string) => {
  const body = { source: { upload: id } }
  const answer = await world.gateway.call('POST', '/v1/apps/shop/deployments', body, {
    'Idempotency-Key': key,
  })
  return { status: answer.status, body: answer.body as Deployment }
}

test('an upload whose gateway is killed goes on at the synced offset, and deploys the same bytes', async () => {
  const content = randomBytes(60 * 2 ** 20)
  const archive = tar(file('large', content), file('small', 'abc'))
  let recorded = Promise.resolve(0)
  const { url, heads } = await send(archive, {
    onUrl(at) {
      recorded = written(idIn(at), 20 * 2 ** 20).then(() => {
        world.gateway.kill()
        return world.recordedOffset(idIn(at))
      })
    },
  })
  const offset = await recorded
  expect(offset).toBeGreaterThanOrEqual(16 * 2 ** 20)
  expect(heads).toContain(offset)
  expect(world.gateway.kills).toBe(1)

  const { status, body } = await deploy(idIn(url), 'large')
  expect([status, body.state, body.source!.files]).toEqual([202, 'pending', 2])
  const tree = join(world.data, 'trees', body.source!.digest.replace('sha256:', ''), 'files')
  expect((await readFile(join(tree, 'large'))).equals(content)).toBe(true)
  expect(await world.uploads()).not.toContain(idIn(url))
})

test('small uploads go with their creation, and one of no bytes is complete', async () => {
  const small = await send(Buffer.from('abc'), { data: true })
  expect(await offsetOf(world.gateway.url, new URL(small.url).pathname)).toBeNull() // no token
  const head = await tus(world.gateway.url, 'HEAD', {}, { path: idIn(small.url), token })
  expect(head.get('Upload-Offset')).toBe('3')
  const { url } = await send(Buffer.alloc(0))
  expect((await deploy(idIn(url), 'empty')).status).toBe(400)
  await Upload.terminate(url, { headers: token })
  expect((await tus(world.gateway.url, 'HEAD', {}, { path: idIn(url), token })).status).toBe(404)
})

test.each<[CrashPoint, number, number]>([
  ['upload-written', 3, 0],
  ['upload-synced', 1, 0],
  ['upload-recorded', 1, 16 * 2 ** 20],
])('%s: after a kill the sender goes on at the last synced byte', async (point, nth, atLeast) => {
  const bytes = randomBytes(20 * 2 ** 20)
  const { url } = world.gateway
  const path = await made(url, bytes.length, {}, { token })
  await killed(async () => {
    world.gateway.killAt(point, nth)
    await expect(patch(url, path, { at: 0, body: bytes, token })).rejects.toThrow()
  })

  const offset = await world.recordedOffset(idIn(path))
  expect(offset).toBeGreaterThanOrEqual(atLeast)
  expect(offset).toBeLessThan(bytes.length)
  const { heads } = await send(bytes, { uploadUrl: url + path })
  expect(heads).toEqual([offset])
  expect((await readFile(bytesOf(idIn(path)))).equals(bytes)).toBe(true)
})

test('a part with a checksum that a kill cuts does not count, however much is written', async () => {
  const bytes = randomBytes(40 * 2 ** 20)
  const { url } = world.gateway
  const path = await made(url, bytes.length, {}, { token })
  const digest = createHash('sha256').update(bytes).digest('base64')
  const headers = { 'Upload-Checksum': `sha256 ${digest}` }
  await killed(async () => {
    const cut = patch(url, path, { at: 0, body: bytes, token, headers }).catch(() => null)
    await written(idIn(path), 20 * 2 ** 20)
    world.gateway.kill()
    expect(await cut).toBeNull()
  })
  const head = await tus(url, 'HEAD', {}, { path, token })
  expect(head.get('Upload-Offset')).toBe('0')
  expect((await patch(url, path, { at: 0, body: bytes, token, headers })).status).toBe(204)
})

test('upload-made: an upload that nobody heard of counts until it expires', async () => {
  const before = new Set(await world.uploads())
  await killed(async () => {
    world.gateway.killAt('upload-made', 1)
    await expect(made(world.gateway.url, 5, {}, { token })).rejects.toThrow()
  })
  const left = (await world.uploads()).filter((id) => !before.has(id))
  expect(left).toHaveLength(1)
  const { status } = await tus(world.gateway.url, 'DELETE', {}, { path: left[0]!, token })
  expect(status).toBe(204)
})

test('upload-used: after a kill the same key returns the deployment that was recorded', async () => {
  const { url } = await send(tar(file('a', 'used')))
  await killed(async () => {
    world.gateway.killAt('upload-used', 1)
    expect((await deploy(idIn(url), 'used')).status).toBe(0)
  })
  const { status, body } = await deploy(idIn(url), 'used')
  expect([status, body.state]).toEqual([202, 'pending'])
  expect(await world.uploads()).toContain(idIn(url)) // until it expires
})

test('a sender whose line is dead comes back on another, and the gateway ends the first', async () => {
  const { url } = world.gateway
  const path = await made(url, 100, {}, { token })
  const line = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  let answer = ''
  line.on('data', (text) => (answer += String(text)))
  line.write(
    `PATCH ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${token.Authorization}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: ${octets}\r\nContent-Length: 100\r\n\r\nabcdefg`,
  )
  await written(idIn(path), 7)
  const head = await tus(url, 'HEAD', {}, { path, token })
  expect(head.get('Upload-Offset')).toBe('7')
  await expect.poll(() => answer).toContain('upload-conflict')
  line.destroy()
  expect((await patch(url, path, { at: 7, body: Buffer.alloc(93), token })).status).toBe(204)
})
