import { Server, ServerCredentials, type Metadata, type ServerDuplexStream } from '@grpc/grpc-js'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Connection } from '../../../gateway/src/buildkit/connection.ts'
import {
  BytesMessage,
  CheckHealth,
  CheckPolicy,
  Credentials,
  GetSecret,
  sessionPath,
} from '../../../gateway/src/buildkit/messages.ts'
import { Session, type Answers } from '../../../gateway/src/buildkit/session.ts'
import { message, one, string } from '../../../gateway/src/llb/wire.ts'

let dir: string
let daemon: Server
let connection: Connection
/** The daemon's end of the next session. */
let opened: Promise<{ metadata: Metadata; inner: ClientHttp2Session; ended: Promise<void> }>

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-session-'))
  const { promise, resolve } = Promise.withResolvers<Awaited<typeof opened>>()
  opened = promise
  daemon = new Server()
  daemon.register(
    sessionPath,
    (call: ServerDuplexStream<Uint8Array, Uint8Array>) => {
      const ended = new Promise<void>((done) => call.on('end', done).on('cancelled', done))
      const socket = bytesOf(call)
      resolve({
        metadata: call.metadata,
        inner: connect('http://session', { createConnection: () => socket }),
        ended,
      })
    },
    (data: Uint8Array) => Buffer.from(BytesMessage.encode({ data })),
    (bytes: Buffer) => BytesMessage.decode(bytes).data,
    'bidi',
  )
  const address = `unix://${join(dir, 'daemon.sock')}`
  await new Promise<void>((done, fail) =>
    daemon.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
      error ? fail(error) : done(),
    ),
  )
  connection = new Connection(address)
})
afterEach(async () => {
  connection.close()
  daemon.forceShutdown()
  await rm(dir, { recursive: true })
})

function bytesOf(call: ServerDuplexStream<Uint8Array, Uint8Array>): Duplex {
  const socket = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => void call.write(chunk, () => done()),
  })
  call.on('data', (data: Uint8Array) => socket.push(data))
  call.on('end', () => {
    socket.push(null)
    call.end()
  })
  call.on('cancelled', () => socket.destroy())
  return socket
}

const answers: Answers = {
  login: (host) => (host === 'a.test' ? { user: 'me', secret: 'token' } : null),
  secrets: new Map<string, string | Uint8Array>([
    ['text', 'ä'],
    ['bytes', Buffer.from([0, 255])],
  ]),
  policy: async () => {
    throw new Error('a text for nobody')
  },
}

/** One gRPC call: its status, its answer, and whatever else the daemon could read. */
async function call(inner: ClientHttp2Session, path: string, question: Uint8Array) {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(question.length, 1)
  const stream = inner.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  let seen: Record<string, unknown> = {}
  stream.on('response', (headers) => (seen = { ...seen, ...headers }))
  stream.on('trailers', (headers) => (seen = { ...seen, ...headers }))
  stream.end(Buffer.concat([frame, question]))
  const answer = await buffer(stream)
  return { status: Number(seen['grpc-status']), answer: answer.subarray(5), seen }
}

async function open(using: Partial<Answers> = {}) {
  const session = new Session(connection, { ...answers, ...using })
  return { session, ...(await opened) }
}

test('the daemon gets logins and secrets, and learns which methods there are', async () => {
  const { session, metadata, inner } = await open()
  expect(metadata.get('x-docker-expose-session-uuid')).toEqual([session.id])
  // This fake daemon gets the values of one key joined.
  expect(metadata.get('x-docker-expose-session-grpc-method')).toEqual([
    [CheckHealth, Credentials, GetSecret, CheckPolicy].map(({ path }) => path).join(', '),
  ])

  const health = await call(inner, CheckHealth.path, CheckHealth.ask.encode({}))
  expect(CheckHealth.answer.decode(health.answer)).toEqual({ status: 1 })
  const login = async (host: string) =>
    Credentials.answer.decode(
      (await call(inner, Credentials.path, Credentials.ask.encode({ host }))).answer,
    )
  expect(await login('a.test')).toEqual({ user: 'me', secret: 'token' })
  expect(await login('b.test')).toEqual({ user: '', secret: '' })
  const secret = async (id: string) => {
    const found = await call(inner, GetSecret.path, GetSecret.ask.encode({ id }))
    return [found.status, Buffer.from(GetSecret.answer.decode(found.answer).data).toString('hex')]
  }
  expect(await secret('text')).toEqual([0, 'c3a4'])
  expect(await secret('bytes')).toEqual([0, '00ff'])
  expect(await secret('missing')).toEqual([5, ''])
  await session[Symbol.asyncDispose]()
})

test('an unknown method, a question that is too large and an error of the gateway are refused', async () => {
  const { session, inner } = await open()
  expect((await call(inner, '/moby.filesync.v1.Auth/FetchToken', Buffer.alloc(0))).status).toBe(12)

  const named = message({ id: one(1, string) })
  const large = named.encode({ id: 'x'.repeat(4 * 1024 * 1024) })
  expect((await call(inner, GetSecret.path, large)).status).toBe(8)

  const failed = await call(inner, CheckPolicy.path, CheckPolicy.ask.encode({}))
  expect(failed.status).toBe(13)
  expect(JSON.stringify(failed)).not.toContain('nobody')
  await session[Symbol.asyncDispose]()
})

test('the end of a session ends its call at once, even during a question', async () => {
  const asked = Promise.withResolvers<void>()
  const { session, inner, ended } = await open({
    policy: () => {
      asked.resolve()
      return new Promise(() => {})
    },
  })
  inner.on('error', () => {})
  const question = call(inner, CheckPolicy.path, CheckPolicy.ask.encode({})).catch(() => null)
  await asked.promise

  const startedMs = performance.now()
  await session[Symbol.asyncDispose]()
  expect(performance.now() - startedMs).toBeLessThan(150)
  await ended
  await question
})
