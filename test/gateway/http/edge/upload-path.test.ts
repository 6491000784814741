import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { Problem } from '#api/problem.ts'
import { Drain } from '../../../../gateway/src/commands/drain.ts'
import { openLog } from '../../../../gateway/src/log.ts'
import { Sources } from '../../../../gateway/src/sources/sources.ts'
import { authorization, startHttp } from '../start-http.ts'
import { tus } from '../uploads/tus-calls.ts'
import { begin, bearer, chunk, type Door, doors, lastChunk, openLine, send } from './doors.ts'

// ../shared/reference/reliability.md 4.2: the way of an upload. Each row at each door.
// Where the design is another, it wins: a body without a length is taken (`tar | curl -T -`), not 411.

vi.setConfig({ testTimeout: 60_000 })

const open = new AsyncDisposableStack()
const maxUploadBytes = 2 ** 22
/** Set by a test that closes the doors. */
let closed: (() => Disposable | void) | null = null
let dir: string
let http: Awaited<ReturnType<typeof startHttp>>
/** Another one, with little patience. */
let hasty: Awaited<ReturnType<typeof startHttp>>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-edge-'))
  open.defer(() => rm(dir, { recursive: true }))
  const start = async (name: string, limits: object) => {
    const sources = open.use(await Sources.open({ dir: join(dir, name), limits }))
    const own = { sources, maxUploadBytes, uploadLimits: { limits, perCaller: 1000 } }
    const assertAccepting = () => closed?.()
    return open.use(await startHttp({ ...own, assertAccepting }, { drainMs: 300 }))
  }
  http = await start('calm', { uploadBytes: maxUploadBytes })
  const little = { idleMs: 1500, rateWindowMs: 500, minBytesPerS: 4096, receiveMs: 3000 }
  hasty = await start('hasty', little)
})
afterAll(() => open.disposeAsync())

const each = doors.map((door): [string, Door] => [door.name, door])
const lengthOf = (bytes: Buffer) => `Content-Length: ${bytes.length}\r\n\r\n`
const asks = 'Expect: 100-continue\r\n'
const leftInSpool = async () => [
  ...(await readdir(join(dir, 'calm/spool'))),
  ...(await readdir(join(dir, 'hasty/spool'))),
]

test.each(each)('%s: a body with a length is taken', async (_, { head, body }) => {
  const answer = await send(http, `${await head(http)}Connection: close\r\n${lengthOf(body)}`, body)
  expect(answer.status).toBeLessThan(300)
})

test.each(each)('%s: a body without a length is taken (the design, not 411)', async (_, door) => {
  const head = `${await door.head(http)}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`
  const half = door.body.length >> 1
  const chunks = [door.body.subarray(0, half), door.body.subarray(half)].map(chunk)
  expect((await send(http, head, ...chunks, lastChunk)).status).toBeLessThan(300)
})

test.each(each)('%s: without a token it is 401 before a byte', async (_, { head, body }) => {
  const stranger = (await head(http)).replace(/Bearer \S+/, 'Bearer wrong-token-of-a-stranger')
  const { status, text } = await send(http, `${stranger}${asks}${lengthOf(body)}`)
  expect([status, text.includes('100 Continue')]).toEqual([401, false])
  expect(text).toContain('Connection: close')
})

test.each(each)('%s: too many bytes are 413 before a byte, with the limit', async (_, { head }) => {
  const much = (await head(http)).replace(/Upload-Length: \d+/, 'Upload-Length: 99999999')
  const answer = await send(http, `${much}${asks}Content-Length: 99999999\r\n\r\n`)
  expect(answer.status).toBe(413)
  expect(answer.text).not.toContain('100 Continue')
  expect(answer.text).toMatch(/"limitBytes":4194304|"missingBytes":\d+/)
})

test.each(each)('%s: too many bytes without a length are 413 at the limit', async (_, door) => {
  const head = `${await door.head(http)}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`
  const { status, code } = await send(http, head, chunk(door.long))
  expect([status, code]).toEqual([
    413,
    expect.stringMatching(/^archive-too-large|upload-too-long$/),
  ])
  await expect.poll(leftInSpool).toEqual([])
})

test.each(each)('%s: no room is 507 before a byte, with a time to retry', async (_, door) => {
  const head = await door.head(http)
  closed = () => {
    throw new Problem('no-space', 'The disk is full.', { facts: { retryAfterSeconds: 30 } })
  }
  const { status, text } = await send(http, `${head}${asks}${lengthOf(door.body)}`)
  closed = null
  expect(status).toBe(507)
  expect(text).toMatch(/^Retry-After: 30\r$/m)
  expect(text).not.toContain('100 Continue')
})

test.each(each)('%s: a drain is 503 for a new one, and lets one that runs end', async (_, door) => {
  const runner = { running: () => 0, pause() {}, stopRunning() {}, resume: async () => {} }
  const store = { countUnfinished: async () => 0 }
  using drain = new Drain({ store, runner, log: openLog('silent') })
  closed = () => drain.upload()
  const late = await door.head(http)
  const line = await begin(http, `${await door.head(http)}Connection: close\r\n`, door.body.length)
  await drain.start({} as never, 60_000)
  const refused = await send(http, `${late}${asks}${lengthOf(door.body)}`)
  expect(refused).toMatchObject({ status: 503, code: 'draining' })
  expect(refused.text).toMatch(/^Retry-After: 60\r$/m)

  expect(await drain.status({} as never)).toMatchObject({ state: 'draining', uploads: 1 })
  line.write(door.body)
  expect((await line.answer).status).toBeLessThan(300)
  closed = null
  await expect.poll(async () => (await drain.status({} as never)).state).toBe('drained')
})

test.concurrent.each(each)('%s: silence is 408', async (_, { head, body }) => {
  const line = openLine(hasty)
  line.write(`${await head(hasty)}${lengthOf(body)}`)
  line.write(body.subarray(0, 2000))
  expect(await line.answer).toMatchObject({ status: 408, code: 'upload-stalled' })
})

test.concurrent.each(each)(
  '%s: a sender that drips is cut by its rate, with 408',
  async (_, door) => {
    const line = openLine(hasty)
    line.write(`${await door.head(hasty)}${lengthOf(door.body)}`)
    const { status, code, text } = await dripped(line, door.body, 2)
    expect([status, code]).toEqual([408, 'upload-stalled'])
    expect(text).toMatch(/"bytesPerS":\d+,"minBytesPerS":4096/)
  },
)

test.concurrent.each(each)('%s: a steady sender has a limit in time, with 408', async (_, door) => {
  const line = openLine(hasty)
  line.write(`${await door.head(hasty)}${lengthOf(door.body)}`)
  const { status, code } = await dripped(line, door.body, 2000)
  expect([status, code]).toEqual([408, 'body-too-slow'])
})

test.each(each)(
  '%s: a body that is shorter than said is 400, and leaves nothing',
  async (_, door) => {
    const line = await begin(http, await door.head(http), door.body.length)
    line.end(door.body.subarray(0, 20_000))
    expect(await line.answer).toMatchObject({ status: 400, code: 'body-truncated' })
    await expect.poll(leftInSpool).toEqual([])
  },
)

test.each(each)('%s: a line that breaks leaves nothing', async (_, door) => {
  const line = await begin(http, await door.head(http), door.body.length)
  line.write(door.body.subarray(0, 20_000), () => line.resetAndDestroy())
  await line.answer
  await expect.poll(leftInSpool).toEqual([])
})

const digests = ['Content-Digest', 'Repr-Digest'].flatMap((field) =>
  each.slice(0, 4).map(([name, door]): [string, string, Door] => [field, name, door]),
)
test.each(digests)('%s of %s is checked', async (field, _, { head, body }) => {
  const wrong = createHash('sha256').update('something else').digest('base64')
  const line = `${await head(http)}${field}: sha-256=:${wrong}:\r\nConnection: close\r\n${lengthOf(body)}`
  expect(await send(http, line, body)).toMatchObject({ status: 400, code: 'digest-mismatch' })
})

test('a part of a resumable upload has a checksum, and the whole a digest', async () => {
  const answer = await tus(http.url, 'POST', {
    'Upload-Length': '3',
    'Upload-Metadata': 'app c2hvcA==',
    'Repr-Digest': `sha-256=:${createHash('sha256').update('abc').digest('base64')}:`,
  })
  expect(answer.status).toBe(201)
  const wrong = `sha256 ${createHash('sha256').update('x').digest('base64')}`
  const headers = { 'Upload-Checksum': wrong, 'Upload-Offset': '0' }
  const part = { 'Content-Type': 'application/offset+octet-stream', ...headers }
  const path = answer.get('Location')!
  expect((await tus(http.url, 'PATCH', part, { body: 'abc', path })).status).toBe(460)
})

test('uploads at once: one caller may have some, all together some more, and each end makes room', async () => {
  const sources = open.use(await Sources.open({ dir: join(dir, 'crowded') }))
  const atOnce = { uploadsAtOnce: { atOnce: 3, perCaller: 2 } }
  await using crowded = await startHttp({ sources, ...atOnce }, { drainMs: 300 })
  const made = await fetch(`${crowded.url}/v1/tokens`, {
    method: 'POST',
    headers: { ...authorization, 'Content-Type': 'application/json' },
    body: '{"name":"ci","scopes":["deploy"]}',
  })
  const { token: secret } = (await made.json()) as { token: string }
  const [{ head, body }] = doors as [Door]
  const own = await head(crowded)
  const other = own.replace(bearer, `Host: x\r\nAuthorization: Bearer ${secret}\r\n`)

  const first = await begin(crowded, own, body.length)
  await begin(crowded, own, body.length)
  const third = await send(crowded, `${own}${asks}${lengthOf(body)}`)
  expect(third).toMatchObject({ status: 429, code: 'upload-limit' })
  expect(third.text).toMatch(/^Retry-After: 5\r$/m)

  await begin(crowded, other, body.length)
  const fourth = await send(crowded, `${other}${asks}${lengthOf(body)}`)
  expect(fourth).toMatchObject({ status: 429, code: 'too-many-uploads' })

  first.destroy()
  await expect.poll(async () => (await begin(crowded, other, body.length)).destroyed).toBe(false)
})

/** Sends some bytes every 10 ms until the gateway answers. */
async function dripped(line: ReturnType<typeof openLine>, body: Buffer, bytes: number) {
  let at = 0
  const drip = setInterval(() => {
    if (line.writable) line.write(body.subarray(at, (at += bytes)))
  }, 10)
  const answer = await line.answer
  clearInterval(drip)
  return answer
}
