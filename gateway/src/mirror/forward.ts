import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { answerText } from './answer-text.ts'
import { MirrorFailure, mirrorFailure } from './mirror-failure.ts'
import { Pace, type PaceLimits, within } from './pace.ts'

export type ForwardLimits = PaceLimits & {
  connectMs: number
  /** From the end of a request to the end of its answer. */
  answerMs: number
}

/** Where the requests go. */
export type MirrorAddress = {
  /** `http://host:port` */
  origin: string
  /** The registry that the mirror stands for, as its `ns` parameter. */
  registry: string
  /** The `Authorization` header. Called for each request, so that it is always fresh. */
  authorization: () => string
}

type Exchange = { asked: IncomingMessage; answer: ServerResponse }

/** What a registry may answer to a push. Everything else is a failure of the mirror. */
const expected: Record<string, readonly number[]> = {
  HEAD: [200, 404],
  GET: [200, 404],
  POST: [201, 202],
  PATCH: [202],
  PUT: [200, 201, 204],
}

/** A third less CPU than with Node's 64 KiB. Node's types lack this option. */
const pieces = { highWaterMark: 2 ** 20 }

/** The headers of a connection, and the login of the build daemon. The mirror gets its own. */
const ownHeaders = new Set(['authorization', 'connection', 'host', 'keep-alive', 'te', 'upgrade'])

/**
 * Sends one request of a push to the mirror, and its answer back. Bodies stream: nothing is held in
 * memory as a whole. Throws a `MirrorFailure` before the answer begins; the caller then answers.
 */
export async function forward(
  { asked, answer }: Exchange,
  { origin, registry, authorization }: MirrorAddress,
  limits: ForwardLimits,
  signal: AbortSignal,
): Promise<void> {
  const { method = 'GET' } = asked
  const url = new URL(asked.url ?? '/', origin)
  url.searchParams.set('ns', registry)
  // A mount names a repository as the build daemon knows it. The mirror may not have it.
  for (const name of ['mount', 'from']) url.searchParams.delete(name)

  const named = `${method} ${url.pathname}`
  const headers = Object.fromEntries(
    Object.entries(asked.headers).filter(([name]) => !ownHeaders.has(name)),
  )
  const login = authorization()
  const call = request(url, {
    method,
    headers: { ...headers, authorization: login },
    agent: false, // a connection that is used again may be closed already
    ...pieces,
    signal,
  })
  try {
    const body = createHash('sha256')
    const got = await answerTo(asked, call, { limits, body })
    await assertExpected(got, named, login)
    assertHonest(got, asked, body)
    answer.writeHead(got.statusCode ?? 502, answerHeaders(got, { origin, asked }))
    await within(limits.answerMs, pipeline(got, answer), () => unanswered(limits))
  } catch (error) {
    call.on('error', () => {}).destroy()
    signal.throwIfAborted()
    throw mirrorFailure(error, named)
  }
}

/** Sends the body, and waits for the head of the answer. */
async function answerTo(
  asked: IncomingMessage,
  call: ClientRequest,
  { limits, body }: { limits: ForwardLimits; body: Hash },
): Promise<IncomingMessage> {
  const answered = once(call, 'response').then(([got]: IncomingMessage[]) => got!)
  const sent = connected(call, limits.connectMs).then(() => sendBody(asked, call, limits, body))
  // The mirror may answer before it has read the whole body.
  const early = await Promise.race([sent.then(() => null), answered])
  if (early && !expected[asked.method ?? '']?.includes(early.statusCode ?? 0)) return early
  await sent
  return within(limits.answerMs, answered, () => unanswered(limits))
}

async function connected(call: ClientRequest, connectMs: number): Promise<void> {
  const open = async () => {
    const [socket] = call.socket ? [call.socket] : await once(call, 'socket')
    if (socket.connecting) await once(socket, 'connect')
  }
  await within(
    connectMs,
    open(),
    () => new MirrorFailure(`cannot be reached (no connection within ${connectMs / 1000} s)`),
  )
}

async function sendBody(
  body: IncomingMessage,
  call: ClientRequest,
  limits: PaceLimits,
  hash: Hash,
): Promise<void> {
  const pace = new Pace(limits)
  const isManifest = /\/manifests\/[^/]+$/.test(body.url?.split('?')[0] ?? '')
  // The connection stays open after a failure, so that the daemon can read the answer.
  for await (const chunk of body.iterator({ destroyOnReturn: false })) {
    if (isManifest) hash.update(chunk)
    pace.sent(chunk.length)
    if (!call.write(chunk)) await pace.wait(once(call, 'drain'))
  }
  call.end()
}

const unanswered = ({ answerMs }: ForwardLimits) =>
  new MirrorFailure(`did not answer within ${answerMs / 1000} s`)

async function assertExpected(got: IncomingMessage, named: string, login: string): Promise<void> {
  const status = got.statusCode ?? 0
  const [method = ''] = named.split(' ')
  if (expected[method]?.includes(status)) return
  const text = method === 'HEAD' ? '' : await answerText(got, login)
  throw new MirrorFailure(`answered ${status} (${named}${text && `: ${text}`})`)
}

/** The mirror must have stored what it got: it names the digest of it. */
function assertHonest({ headers }: IncomingMessage, asked: IncomingMessage, body: Hash): void {
  const url = new URL(asked.url ?? '/', 'http://proxy')
  const [, kind, reference = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? []
  const named = url.searchParams.get('digest') ?? (reference.includes(':') ? reference : null)
  const put = kind === 'manifests' && asked.method === 'PUT'
  const wanted = put ? `sha256:${body.digest('hex')}` : named
  const got = headers['docker-content-digest']?.toString()
  if (wanted === null || got === undefined || got === wanted) return
  throw new MirrorFailure(`named another digest than it was sent (${got} for ${wanted})`)
}

/** The address of an upload leads back to the proxy. */
function answerHeaders(
  { headers }: IncomingMessage,
  { origin, asked }: { origin: string; asked: IncomingMessage },
) {
  const { connection: _own, 'keep-alive': _too, location, ...others } = headers
  if (location === undefined) return others
  const to = URL.canParse(location, origin) ? new URL(location, origin) : null
  if (to?.origin !== new URL(origin).origin)
    throw new MirrorFailure(`sends uploads to another server (${to?.origin ?? 'no address'})`)
  return { ...others, location: `http://${asked.headers.host}${to.pathname}${to.search}` }
}
