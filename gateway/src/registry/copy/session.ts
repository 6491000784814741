import type { Readable } from 'node:stream'
import { type Agent, type Dispatcher, request as sendRequest } from 'undici'
import { errorCode } from '#api/error-code.ts'
import { readBody } from '#api/flow/read-body.ts'
import { retry } from '#api/flow/retry.ts'
import type { Problem } from '#api/problem.ts'
import {
  basicOf,
  challengeOf,
  type Login,
  realmOf,
  tokenIn,
  tokenRequest,
} from '../token-request.ts'
import { redirectOf } from '../transport.ts'
import type { Refusals } from './refusals.ts'

const maxAttempts = 4
const maxRedirects = 5
/** Manifests, configurations and answers of token servers. */
export const maxSmallBytes = 4 * 2 ** 20

export type SessionRequest = {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  /** A path at the registry, as `/v2/…`, or an address that it gave. */
  url: string
  /** What the request needs, as `repository:shop:pull`. */
  scopes: string[]
  headers?: Record<string, string>
  /** A stream is sent once: the request fails if the registry then asks for a login. */
  body?: Uint8Array | Readable
}
export type Answer = Dispatcher.ResponseData
/** A small answer, read whole. */
export type ReadAnswer = Pick<Answer, 'statusCode' | 'headers'> & { bytes: Buffer }

type Settings = {
  host: string
  insecure: boolean
  login: Login | null
  agent: Agent
  refusals: Refusals
}
type Target = Pick<SessionRequest, 'method' | 'headers' | 'body'> & { authorization: string | null }

/**
 * Requests to one registry, with one login. Logs in when the registry asks for it, as docker does,
 * and keeps what it got. Throws what `Refusals` says; an answer that is returned has a status below
 * 500 other than 401, 403 and 429.
 */
export class RegistrySession {
  readonly refusals: Refusals
  readonly #settings: Settings
  readonly #base: URL
  /** The authorization that the registry accepted, by what it is for. */
  readonly #granted = new Map<string, string>()

  constructor(settings: Settings) {
    this.#settings = settings
    this.refusals = settings.refusals
    this.#base = new URL(`${settings.insecure ? 'http' : 'https'}://${settings.host}`)
  }

  /** One request. The caller reads the body, or ends it. */
  async send(request: SessionRequest, signal: AbortSignal): Promise<Answer> {
    const url = new URL(request.url, this.#base)
    const key = request.scopes.join(' ')
    const isOwn = url.origin === this.#base.origin
    const kept = isOwn ? this.#grantFor(request.scopes) : null
    const first = await this.#follow(url, { ...request, authorization: kept }, signal)
    const challenge = String(first.headers['www-authenticate'] ?? '')
    if (first.statusCode !== 401 || challenge === '' || !isOwn) return this.#checked(first)

    if (kept !== null) this.#granted.clear() // it has expired
    const why = await readSmall(first)
    const authorization = await this.#authorize(challenge, request.scopes, signal)
    if (authorization === null) throw this.refusals.refused(401, why)
    this.#granted.set(key, authorization)
    if (request.body && !(request.body instanceof Uint8Array))
      throw this.refusals.unavailable('its login expired during an upload')
    return this.#checked(await this.#follow(url, { ...request, authorization }, signal))
  }

  #grantFor(scopes: string[]): string | null {
    for (const [key, authorization] of this.#granted) {
      const granted = key.split(' ')
      if (scopes.every((scope) => granted.includes(scope))) return authorization
    }
    return null
  }

  /** A request with a small answer, tried several times. */
  ask(request: SessionRequest, signal: AbortSignal): Promise<ReadAnswer> {
    return this.retried(async () => {
      const { statusCode, headers, body } = await this.send(request, signal)
      const bytes = await this.#reading(readBody(body, maxSmallBytes), signal)
      return { statusCode, headers, bytes }
    }, signal)
  }

  /** Tries again while the registry does not answer. */
  retried<T>(action: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return retry(
      action,
      {
        isRetryable: (error) => errorCode(error) === 'registry-unavailable',
        pauseMs: (attempt) =>
          attempt > maxAttempts ? null : 250 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2),
      },
      signal,
    )
  }

  /**
   * Follows redirects, since many registries keep layers elsewhere. Only the registry itself gets
   * the authorization.
   */
  async #follow(url: URL, target: Target, signal: AbortSignal): Promise<Answer> {
    let at = url
    for (let hops = 0; ; hops++) {
      const authorization = at.origin === url.origin ? target.authorization : null
      const answer = await this.#once(at, { ...target, authorization }, signal)
      const to = redirectOf({ status: answer.statusCode, headers: answer.headers }, at)
      if (to === null || !['GET', 'HEAD'].includes(target.method)) return answer

      await answer.body.dump()
      if (hops === maxRedirects) throw this.refusals.unavailable('it redirects without end')
      if (to.protocol !== 'https:' && to.protocol !== at.protocol)
        throw this.refusals.unavailable(`it redirects to ${to.origin}, which is not https`)
      at = to
    }
  }

  async #once(url: URL, target: Target, signal: AbortSignal): Promise<Answer> {
    const { method, headers, body, authorization } = target
    const sent = sendRequest(url, {
      method,
      dispatcher: this.#settings.agent,
      signal,
      headers: { ...headers, ...(authorization && { authorization }) },
      body: body ?? null,
    })
    return this.#reading(sent, signal)
  }

  async #reading<T>(reading: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await reading
    } catch (cause) {
      signal.throwIfAborted()
      throw this.refusals.failed(cause)
    }
  }

  async #checked(answer: Answer): Promise<Answer> {
    const { statusCode: status, headers } = answer
    if (status < 500 && ![401, 403, 408, 429].includes(status)) return answer
    const said = await readSmall(answer)
    throw problemOf(this.refusals, { status, said, headers })
  }

  /** The header for these scopes. Null: the registry wants a login, and there is none. */
  async #authorize(
    challenge: string,
    scopes: string[],
    signal: AbortSignal,
  ): Promise<string | null> {
    const { login } = this.#settings
    if (!/^Bearer\s/i.test(challenge)) return basicOf(login)

    const asked = challengeOf(challenge)
    const { service } = asked
    const realm = realmOf(asked, this.#base.href)
    if (!realm)
      throw this.refusals.unavailable(`it asks for a login at “${asked['realm']?.slice(0, 200)}”`)
    realm.username = ''
    realm.password = ''

    const wanted = { ...(service && { service }), scope: scopes.join(' ') }
    const { method, url, authorization, content } = tokenRequest(realm, wanted, login)
    const target = {
      method,
      authorization,
      ...(content && { body: content.bytes, headers: { 'content-type': content.mediaType } }),
    }
    const answer = await this.#follow(new URL(url), target, signal)
    const bytes = await this.#reading(readBody(answer.body, maxSmallBytes), signal)
    const { statusCode: status, headers } = answer
    if (status >= 400) throw problemOf(this.refusals, { status, said: saidIn(bytes), headers })
    const token = tokenIn(bytes)
    if (token === null) throw this.refusals.unavailable('its token server gives no token')
    return `Bearer ${token}`
  }
}

type Refused = { status: number; said: string; headers: Answer['headers'] }

function problemOf(refusals: Refusals, { status, said, headers }: Refused): Problem {
  if (status === 429) return refusals.limited(said, Number(headers['retry-after']) || null)
  if (status === 408 || status >= 500) return refusals.unavailable(`it answered ${status}`)
  return refusals.refused(status, said)
}

async function readSmall({ body }: Answer): Promise<string> {
  const bytes = await readBody(body, maxSmallBytes).catch(() => Buffer.alloc(0))
  return saidIn(bytes)
}

/** The registry's own message in an answer, or nothing. */
export function saidIn(bytes: Uint8Array): string {
  const [, message = ''] = /"message"\s*:\s*"([^"\\]{0,300})/.exec(bytes.toString()) ?? []
  return message
}
