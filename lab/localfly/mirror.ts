import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { copyImage, inMirror } from './mirror-copy.ts'
import {
  kindOf,
  MirrorRules,
  type MirrorFault,
  type MirrorOrder,
  type MirrorRequest,
} from './mirror-rules.ts'
import type { FlyState } from './state.ts'
import { scopeOf } from './tokens.ts'

type Parts = {
  state: FlyState
  token: string
  /** host:port of the lab's registry, which also keeps what the mirror has. */
  registry: string
}
type Exchange = { req: IncomingMessage; res: ServerResponse; noted: MirrorRequest; url: URL }

const dripMs = 50
const otherDigest = `sha256:${'0'.repeat(64)}`

/**
 * The mirror of `registry.fly.io` on a host of Fly, `_api.internal:5000` (fly.md 5.6). What is pushed
 * to it is in repositories of its own, until it copies an image to the app's repository.
 */
export class RegistryMirror implements AsyncDisposable {
  /** The requests since the last change of the rules. */
  requests: MirrorRequest[] = []
  rules = MirrorRules.parse({})
  readonly #parts: Parts
  readonly handler: RequestListener = (req, res) => void this.#answer(req, res)
  readonly #server = createServer({ requestTimeout: 0 }, this.handler)
  readonly #copies = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  #struck = 0
  #port = 0

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** 0: a free port. */
  async listen(port: number): Promise<number> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
    return this.#port
  }

  /** Replaces the rules, and forgets the requests. */
  async set(order: MirrorOrder): Promise<void> {
    this.rules = MirrorRules.parse(order)
    this.requests = []
    this.#struck = 0
    if (this.rules.away === !this.#server.listening) return
    if (this.rules.away) await this.#close()
    else await this.listen(this.#port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    if (this.#server.listening) await this.#close()
    await Promise.allSettled(this.#copies)
  }

  async #close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.rules.away) return void req.socket.destroy() // where another server took the request
    const url = new URL(req.url ?? '/', 'http://mirror')
    const { method = '' } = req
    const kind = kindOf(method, url.pathname)
    const noted: MirrorRequest = { kind, method, path: url.pathname, status: null, bytes: 0 }
    this.requests.push(noted)
    res.on('close', () => (noted.status = res.headersSent ? res.statusCode : null))
    const exchange = { req, res, noted, url }

    const refusal = this.#refusal(exchange)
    if (refusal) return refuse(exchange, ...refusal)
    const fault = this.#faultAt(kind)
    try {
      if (fault?.kind === 'status') refuse(exchange, fault.status, 'UNKNOWN', 'as ordered')
      else if (fault?.kind === 'cut') await cut(exchange)
      else if (fault?.kind === 'lose') await lose(exchange)
      else await this.#forward(exchange, fault)
    } catch {
      res.destroy()
    }
  }

  /** Why a request is refused before any fault: its login, its app, and the rules. */
  #refusal({ req, res, url }: Exchange): [number, string, string] | null {
    const { state, token } = this.#parts
    const { needsNs, challenge, onlyBuilders, tokens, maxBlobBytes } = this.rules
    const scope = scopeOf(req.headers.authorization, token, state.deployTokens)
    const isBasic = req.headers.authorization?.startsWith('Basic ')
    if (!scope || !isBasic || challenge === 'bearer') {
      const realm = 'Bearer realm="http://127.0.0.1:9/token",service="registry.fly.io"'
      const basic = 'Basic realm="registry.fly.io"'
      res.setHeader('WWW-Authenticate', challenge === 'bearer' ? realm : basic)
      return [401, 'UNAUTHORIZED', 'authentication required']
    }
    if (needsNs && !url.searchParams.has('ns')) return [404, 'NAME_UNKNOWN', 'no ns']
    const [, app] = /^\/v2\/([^/]+)\//.exec(url.pathname) ?? []
    if (app === undefined) return null
    if (!state.apps.has(app)) return [404, 'NAME_UNKNOWN', 'app repository not found']
    const isForeign = scope !== 'org' && (tokens === 'org' || scope.app !== app)
    if (isForeign || onlyBuilders) return [403, 'DENIED', 'requested access is denied']
    const size = Number(req.headers['content-length'] ?? 0)
    if (maxBlobBytes !== null && size > maxBlobBytes)
      return [413, 'SIZE_INVALID', `a blob has at most ${maxBlobBytes} bytes here`]
    return null
  }

  #faultAt(kind: string | null): MirrorFault | null {
    const { fault } = this.rules
    if (fault?.at !== kind) return null
    this.#struck++
    return this.#struck >= fault.from && this.#struck < fault.from + fault.times ? fault : null
  }

  async #forward({ req, res, noted, url }: Exchange, fault: MirrorFault | null): Promise<void> {
    const { registry } = this.#parts
    const { authorization: _own, ...headers } = req.headers
    const call = request(`http://${registry}${inMirror(url.pathname)}${url.search}`, {
      method: req.method ?? 'GET',
      headers,
    })
    res.on('close', () => call.destroy())
    const answered = once(call, 'response')
    answered.catch(() => {}) // if the body breaks off first
    const body = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        noted.bytes += chunk.length
        if (fault?.kind === 'drip') setTimeout(() => done(null, chunk), dripMs)
        else done(null, chunk)
      },
    })
    await pipeline(req, body, call)
    const [answer] = (await answered) as [IncomingMessage]
    const { location } = answer.headers
    if (location) answer.headers.location = fromMirror(location, registry, req.headers.host ?? '')
    if (fault?.kind === 'lie') answer.headers['docker-content-digest'] = otherDigest
    if (noted.kind === 'PUT manifest' && answer.statusCode === 201)
      this.#copyLater(url.pathname, String(answer.headers['docker-content-digest'] ?? ''))
    res.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, res)
  }

  #copyLater(path: string, digest: string): void {
    const { copyAfterMs } = this.rules
    if (copyAfterMs === null) return
    const [, app = '', tag = ''] = /^\/v2\/([^/]+)\/manifests\/(.+)$/.exec(path) ?? []
    const copied = wait(copyAfterMs, undefined, { signal: this.#closing.signal })
      .then(() => copyImage(this.#parts.registry, { app, tag, digest }))
      .catch(() => {}) // the lab ends, or the image is not whole: then no copy appears
      .finally(() => this.#copies.delete(copied))
    this.#copies.add(copied)
  }
}

/** The registry does not know that it serves the mirror. */
const fromMirror = (location: string, registry: string, host: string): string =>
  location.replace(`//${registry}/`, `//${host}/`).replace('/v2/mirror/', '/v2/')

/** Reads a part of the body, then breaks the connection. */
async function cut({ req, res }: Exchange): Promise<void> {
  const half = Number(req.headers['content-length'] ?? 0) / 2
  let bytes = 0
  for await (const chunk of req) {
    bytes += (chunk as Buffer).length
    if (bytes >= half) break
  }
  res.destroy()
}

async function lose({ req, res, url }: Exchange): Promise<void> {
  for await (const _chunk of req);
  const digest = url.searchParams.get('digest')
  res.writeHead(201, { ...(digest && { 'docker-content-digest': digest }) }).end()
}

/** Reads the body first: an answer to a sender that still sends may be lost with its connection. */
function refuse({ req, res }: Exchange, status: number, code: string, message: string): void {
  req.resume().on('end', () => {
    res.writeHead(status, { 'content-type': 'application/json' })
    res.end(JSON.stringify({ errors: [{ code, message }] }))
  })
}
