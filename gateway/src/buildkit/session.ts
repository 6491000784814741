import { randomUUID } from 'node:crypto'
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import type { ByteCall, Connection } from './connection.ts'
import {
  CredentialsRequest,
  CredentialsResponse,
  HealthResponse,
  PolicyAnswer,
  PolicyQuestion,
  SecretRequest,
  SecretResponse,
} from './messages.ts'

/** The gateway's login at a registry. Null: anonymous. */
export type Login = (host: string) => { user: string; secret: string } | null
export type Answers = {
  login: Login
  secrets: SessionSecrets
  policy: (question: PolicyQuestion) => Promise<PolicyAnswer>
}

export type SessionSecrets = ReadonlyMap<string, string | Uint8Array>

const notFound = 5
const unimplemented = 12
const internal = 13
const maxRequestBytes = 4 * 1024 * 1024 // a question about an image includes its configuration
const closeMs = 200

/**
 * Answers the daemon's questions during a solve: health, registry logins, secrets, and whether a
 * source may be read. The gateway runs a small gRPC server inside the stream of one call. Each
 * solve has its own session, because no request names its solve.
 */
export class Session {
  readonly id = randomUUID()
  readonly #call: ByteCall
  readonly #inner = new Set<ServerHttp2Session>()

  constructor(connection: Connection, answers: Answers) {
    const handlers = handlersOf(answers)
    const server = createServer()
    server.on('session', (inner) => this.#inner.add(inner))
    server.on('sessionError', () => {}) // the solve fails by itself if the daemon loses the session
    server.on('stream', (stream, headers) =>
      serve(stream as ServerHttp2Stream, handlers.get(headers[':path'] ?? '')),
    )
    this.#call = connection.session({
      'x-docker-expose-session-uuid': this.id,
      'x-docker-expose-session-sharedkey': '',
      'x-docker-expose-session-grpc-method': [...handlers.keys()],
    })
    server.emit('connection', bytesOf(this.#call))
  }

  /** Closes the inner connection first: its closing messages go over the outer one. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#call.once('status', resolve))
    for (const inner of this.#inner) inner.destroy()
    this.#call.end()
    await Promise.race([ended, wait(closeMs, undefined, { ref: false })])
    this.#call.cancel()
  }
}

type Handler = (request: Uint8Array) => Uint8Array | number | Promise<Uint8Array>

/**
 * The token methods are missing on purpose: the daemon then fetches registry tokens itself, with
 * these credentials.
 */
function handlersOf({ login, secrets, policy }: Answers): Map<string, Handler> {
  return new Map<string, Handler>([
    ['/grpc.health.v1.Health/Check', () => HealthResponse.encode({ status: 1 })],
    [
      '/moby.filesync.v1.Auth/Credentials',
      (request) => CredentialsResponse.encode(login(CredentialsRequest.decode(request).host) ?? {}),
    ],
    [
      '/moby.buildkit.secrets.v1.Secrets/GetSecret',
      (request) => {
        const value = secrets.get(SecretRequest.decode(request).id)
        return value === undefined ? notFound : SecretResponse.encode({ data: Buffer.from(value) })
      },
    ],
    [
      '/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy',
      async (request) => PolicyAnswer.encode(await policy(PolicyQuestion.decode(request))),
    ],
  ])
}

/** Serves one unary gRPC call on one HTTP/2 stream. */
function serve(stream: ServerHttp2Stream, handler: Handler | undefined): void {
  stream.on('error', () => {})
  if (stream.destroyed) return // cancelled before this code saw it

  const headers = { ':status': 200, 'content-type': 'application/grpc' }
  const refuse = (status: number) =>
    stream.respond({ ...headers, 'grpc-status': status }, { endStream: true })
  if (!handler) return refuse(unimplemented)

  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > maxRequestBytes) stream.destroy()
    else chunks.push(chunk)
  })
  stream.on('end', async () => {
    const answer = await attempt(() => handler(Buffer.concat(chunks).subarray(5)))
    if (stream.destroyed) return // cancelled while the handler ran
    if (typeof answer === 'number') return refuse(answer)
    stream.respond(headers, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const frame = Buffer.alloc(5)
    frame.writeUInt32BE(answer.length, 1)
    stream.end(Buffer.concat([frame, answer]))
  })
}

const attempt = async (handle: () => ReturnType<Handler>): Promise<Uint8Array | number> => {
  try {
    return await handle()
  } catch {
    return internal
  }
}

/** The call as a socket. */
function bytesOf(call: ByteCall): Duplex {
  const socket: Duplex = new Duplex({
    read: () => void call.resume(),
    write: (chunk: Buffer, _encoding, done) =>
      call.write(chunk) ? done() : void call.once('drain', () => done()),
    final: (done) => done(),
  })
  socket.on('error', () => {})
  call.pause()
  call.on('data', (data: Uint8Array) => {
    if (data.length > 0 && !socket.push(data)) call.pause()
  })
  call.on('end', () => socket.push(null))
  call.on('error', () => socket.destroy())
  return socket
}
