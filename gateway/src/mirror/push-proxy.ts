import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { portOf } from '../host/port-of.ts'
import { forward, type ForwardLimits, type MirrorAddress } from './forward.ts'
import { MirrorFailure } from './mirror-failure.ts'
import { type MirrorOutcome, MirrorPush } from './mirror-push.ts'

/** Idle connections of the build daemon stay open: it uses them again for a while. */
const keepAliveMs = 120_000
/** The build daemon repeats a request after 5xx, but not after this. */
const refusedStatus = 400

type ProxySettings = {
  /** The port on loopback. 0: a free one. */
  port: number
  mirror: MirrorAddress
  limits: ForwardLimits
  machine: string | null
}

/**
 * A registry on loopback to which the build daemon pushes. It forwards each push to the mirror on
 * the host of the gateway's machine, with the gateway's login (fly.md 5.9). Once a request of a push
 * has failed at the mirror, the proxy refuses the rest of that push.
 */
export class PushProxy {
  readonly #server: Server
  readonly #settings: ProxySettings
  /** The open pushes by their `Authorization` header. */
  readonly #pushes = new Map<string, MirrorPush>()

  private constructor(server: Server, settings: ProxySettings) {
    this.#server = server
    this.#settings = settings
    server.on('request', (asked, answer) => void this.#answer(asked, answer))
  }

  static async open(settings: ProxySettings): Promise<PushProxy> {
    const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 })
    server.listen(settings.port, '127.0.0.1')
    await once(server, 'listening')
    return new PushProxy(server, settings)
  }

  get port(): number {
    return portOf(this.#server)
  }

  /** Opens a push to the app's repository. `ended` is called once. */
  begin(app: string, ended: (outcome: MirrorOutcome, why?: string) => void): MirrorPush {
    const { machine, mirror } = this.#settings
    const about = { app, host: `127.0.0.1:${this.port}`, machine, registry: mirror.registry }
    const push = new MirrorPush(about, (outcome, why) => {
      this.#pushes.delete(key)
      ended(outcome, why)
    })
    const { user, secret } = push.login
    const key = `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`
    this.#pushes.set(key, push)
    return push
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const push = this.#pushes.get(asked.headers.authorization ?? '')
    if (!push) {
      answer.setHeader('www-authenticate', 'Basic realm="tarmac"')
      return refuse(asked, answer, 401, 'This is the push proxy of a Tarmac gateway.')
    }
    const { pathname } = new URL(asked.url ?? '/', 'http://proxy')
    if (pathname === '/v2/') return void answer.end('{}')
    if (!pathname.startsWith(`/v2/${push.app}/`))
      return refuse(asked, answer, 403, `This push is for the app ${push.app} only.`)

    // The daemon may give up. That is not the mirror's fault.
    const left = new AbortController()
    answer.once('close', () => left.abort())
    const signal = AbortSignal.any([push.signal, left.signal])
    try {
      signal.throwIfAborted()
      const { mirror, limits } = this.#settings
      await forward({ asked, answer }, mirror, limits, signal)
    } catch (error) {
      if (error instanceof MirrorFailure && !left.signal.aborted) push.fail(error)
      if (answer.headersSent) return void answer.destroy()
      refuse(asked, answer, refusedStatus, `The mirror ${push.failure?.message ?? 'is not used'}.`)
    }
  }
}

/** Answers at once. The rest of a body is read and dropped, until the daemon closes. */
function refuse(asked: IncomingMessage, answer: ServerResponse, status: number, message: string) {
  const hasBody = !['GET', 'HEAD'].includes(asked.method ?? '') && !asked.complete
  asked.on('error', () => {}).resume()
  const close = hasBody ? { connection: 'close' } : {}
  answer.writeHead(status, { 'content-type': 'application/json', ...close })
  answer.end(JSON.stringify({ errors: [{ code: 'UNAVAILABLE', message }] }))
}
