import {
  Server,
  ServerCredentials,
  status,
  type ChannelOptions,
  type handleUnaryCall,
} from '@grpc/grpc-js'
import { randomUUID } from 'node:crypto'
import { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import type { ByteCall, Connection } from './connection.ts'
import {
  CheckHealth,
  CheckPolicy,
  Credentials,
  GetSecret,
  type PolicyAnswer,
  type PolicyQuestion,
} from './messages.ts'

/** The gateway's login at a registry. Null: anonymous. */
export type Login = (host: string) => { user: string; secret: string } | null
export type Answers = {
  login: Login
  secrets: SessionSecrets
  policy: (question: PolicyQuestion) => Promise<PolicyAnswer>
}

export type SessionSecrets = ReadonlyMap<string, string | Uint8Array>

const serverOptions: ChannelOptions = {
  // A question about an image includes its configuration.
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.enable_channelz': 0,
}
const closeMs = 200

/**
 * Answers the daemon's questions during a solve: health, registry logins, secrets, and whether a
 * source may be read. The gateway runs a small gRPC server inside the stream of one call. Each
 * solve has its own session, because no request names its solve.
 */
export class Session {
  readonly id = randomUUID()
  readonly #call: ByteCall
  readonly #socket: Duplex

  constructor(connection: Connection, answers: Answers) {
    const { server, paths } = serverOf(answers)
    this.#call = connection.session({
      'x-docker-expose-session-uuid': this.id,
      'x-docker-expose-session-sharedkey': '',
      'x-docker-expose-session-grpc-method': paths,
    })
    this.#socket = socketOf(this.#call)
    server
      .createConnectionInjector(ServerCredentials.createInsecure())
      .injectConnection(this.#socket)
  }

  /** Closes the inner connection before the outer call. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#call.once('status', resolve))
    this.#socket.destroy()
    this.#call.end()
    await Promise.race([ended, wait(closeMs, undefined, { ref: false })])
    this.#call.cancel()
  }
}

type Method<Ask, Answer> = {
  path: string
  ask: { decode(bytes: Uint8Array): Ask }
  answer: { encode(value: Answer): Uint8Array }
}

/**
 * The token methods are missing on purpose: the daemon then fetches registry tokens itself, with
 * these credentials.
 */
function serverOf({ login, secrets, policy }: Answers): { server: Server; paths: string[] } {
  const server = new Server(serverOptions)
  const paths: string[] = []
  const serve = <Ask, Answer>(
    { path, ask, answer }: Method<Ask, Answer>,
    handle: (question: Ask) => Answer | null | Promise<Answer>,
  ) => {
    paths.push(path)
    const encode = (value: Answer) => Buffer.from(answer.encode(value))
    server.register(path, unary(handle), encode, (bytes) => ask.decode(bytes), 'unary')
  }

  serve(CheckHealth, () => ({ status: 1 }))
  serve(Credentials, ({ host }) => login(host) ?? {})
  serve(GetSecret, ({ id }) => {
    const value = secrets.get(id)
    return value === undefined ? null : { data: Buffer.from(value) }
  })
  serve(CheckPolicy, policy)
  return { server, paths }
}

/** Null means "not found". The daemon does not get the text of an error. */
const unary =
  <Ask, Answer>(
    handle: (question: Ask) => Answer | null | Promise<Answer>,
  ): handleUnaryCall<Ask, Answer> =>
  async ({ request }, respond) => {
    try {
      const answer = await handle(request)
      respond(answer === null ? { code: status.NOT_FOUND, details: '' } : null, answer)
    } catch {
      respond({ code: status.INTERNAL, details: '' })
    }
  }

/** The call as a socket. */
function socketOf(call: ByteCall): Duplex {
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
