import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, request, type Dispatcher } from 'undici'
import { Problem } from '#api/problem.ts'
import { imageTypes } from './image-parts.ts'
import type { Manifest } from './manifest.ts'

const attempts = 4
const maxRedirects = 5
const manifestBytes = 8 * 1024 * 1024
const accept = imageTypes.join(', ')

export type Login = { username: string; password: string }
type Method = 'GET' | 'HEAD' | 'PUT'
export type RegistrySettings = {
  host: string
  /** An empty user name means that the password is an identity token, as in docker's config. */
  login: Login | null
  /** Use plain HTTP. */
  insecure?: boolean
  /**
   * Connections that several registries share. They stay open when this registry is disposed of.
   */
  agent?: Agent
}

let trusted: SecureContext | undefined

/**
 * Trusts the certificates that the machine trusts, as the build daemon does: a private registry may
 * have a certificate of its own authority.
 */
export function registryAgent(): Agent {
  trusted ??= createSecureContext({
    ca: [...new Set([...getCACertificates('default'), ...getCACertificates('system')])],
  })
  return new Agent({
    connect: { timeout: 5000, secureContext: trusted },
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  })
}

/** Reads and tags manifests in a registry. Throws `registry-unavailable` and `registry-denied`. */
export class Registry {
  readonly #base: string
  readonly #host: string
  readonly #login: Login | null
  readonly #agent: Agent
  readonly #ownsAgent: boolean

  constructor({ host, login, insecure = false, agent }: RegistrySettings) {
    this.#host = host
    this.#base = `${insecure ? 'http' : 'https'}://${host}/v2`
    this.#login = login
    this.#agent = agent ?? registryAgent()
    this.#ownsAgent = agent === undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ownsAgent) await this.#agent.destroy()
  }

  /**
   * Reads the manifest of a tag or digest; null if there is none. Checks that the content matches a
   * given digest.
   */
  async manifest(
    repository: string,
    reference: string,
    signal: AbortSignal,
  ): Promise<Manifest | null> {
    const answer = await this.#ask('GET', repository, reference, null, signal)
    if (answer === null) return null
    const digest = digestOf(answer.bytes)
    if (reference.includes(':') && reference !== digest)
      throw this.#unavailable(`for ${reference} it gave ${digest}, which is something else`)
    return { digest, mediaType: mediaTypeOf(answer), bytes: answer.bytes }
  }

  /**
   * The digest of a manifest that this login may read. Null if it is missing or hidden: a registry
   * does not say which.
   */
  async find(repository: string, reference: string, signal: AbortSignal): Promise<string | null> {
    try {
      const answer = await this.#ask('HEAD', repository, reference, null, signal)
      const said = String(answer?.headers['docker-content-digest'] ?? '')
      const known = answer === null || /^\w+:[0-9a-f]{32,}$/.test(said)
      if (known || reference.includes(':')) return answer && (said || reference)
      return (await this.manifest(repository, reference, signal))?.digest ?? null
    } catch (error) {
      if (error instanceof Problem && error.code === 'registry-denied') return null
      throw error
    }
  }

  /**
   * Puts a manifest under a tag. The repository must already have everything that the manifest
   * names.
   */
  async tag(
    repository: string,
    tag: string,
    manifest: Omit<Manifest, 'digest'>,
    signal: AbortSignal,
  ): Promise<void> {
    if (!(await this.#ask('PUT', repository, tag, manifest, signal)))
      throw this.#unavailable(
        `it took an image for ${repository}, and now knows no such repository`,
      )
  }

  async #ask(
    method: Method,
    repository: string,
    reference: string,
    manifest: Omit<Manifest, 'digest'> | null,
    signal: AbortSignal,
  ): Promise<Answer | null> {
    const path = `/${repository}/manifests/${reference}`
    const url = this.#base + path
    const send = (authorization: string | null) =>
      this.#send(method, url, { authorization, manifest }, signal)

    const first = await send(this.#basic)
    const challenge = String(first.headers['www-authenticate'] ?? '')
    const bearer = first.status === 401 && /^Bearer /i.test(challenge)

    const actions = method === 'PUT' ? 'pull,push' : 'pull'
    const scope = `repository:${repository}:${actions}`
    const answer = bearer
      ? await send(`Bearer ${await this.#token(challenge, scope, signal)}`)
      : first

    if (answer.status === 404) return null
    if (answer.status < 300) return answer
    throw this.#denied(`${method} ${path}: ${answer.status}`)
  }

  /**
   * Token authentication: the registry names a token server, and the gateway sends its login there.
   */
  async #token(challenge: string, scope: string, signal: AbortSignal): Promise<string> {
    const said = Object.fromEntries(
      [...challenge.matchAll(/\b(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]),
    )
    const realm = URL.canParse(said['realm'] ?? '') ? new URL(said['realm'] ?? '') : null
    // Never send the login over a connection that is less secure than the registry's own.
    if (!realm || (realm.protocol !== 'https:' && realm.protocol !== new URL(this.#base).protocol))
      throw this.#denied(`it asks for a login at "${said['realm']}"`)

    const asked = {
      ...(said['service'] && { service: said['service'] }),
      scope: said['scope'] ?? scope,
    }

    const answer = await this.#send(...this.#tokenRequest(realm, asked), signal)
    if (answer.status >= 300) throw this.#denied(`token: ${answer.status}`)
    const { token, access_token } = JSON.parse(answer.bytes.toString()) as {
      token?: string
      access_token?: string
    }
    return token ?? access_token ?? ''
  }

  /** An identity token is exchanged with OAuth. A name and a password use basic authentication. */
  #tokenRequest(realm: URL, asked: Record<string, string>): [Method | 'POST', string, Sent] {
    if (this.#login?.username === '') {
      const grant = {
        grant_type: 'refresh_token',
        client_id: 'tarmac',
        refresh_token: this.#login.password,
      }
      const bytes = Buffer.from(new URLSearchParams({ ...asked, ...grant }).toString())
      const manifest = { mediaType: 'application/x-www-form-urlencoded', bytes }
      return ['POST', realm.href, { authorization: null, manifest }]
    }
    for (const [name, value] of Object.entries(asked)) realm.searchParams.set(name, value)
    return ['GET', realm.href, { authorization: this.#basic, manifest: null }]
  }

  get #basic(): string | null {
    if (!this.#login?.username) return null
    const { username, password } = this.#login
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  }

  async #send(
    method: Method | 'POST',
    url: string,
    what: Sent,
    signal: AbortSignal,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#follow(method, url, what, signal)
      if (!(answer instanceof Problem)) return answer
      if (attempt === attempts) throw answer
      await delay(250 * 2 ** attempt * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }

  /**
   * Follows redirects: some registries keep images on other servers. The login is sent only to the
   * original host.
   */
  async #follow(
    method: Method | 'POST',
    url: string,
    what: Sent,
    signal: AbortSignal,
  ): Promise<Answer | Problem> {
    const from = new URL(url)
    let at = from
    for (let hops = 0; ; hops++) {
      const sent = at.origin === from.origin ? what : { ...what, authorization: null }
      const answer = await this.#try(method, at.href, sent, signal)
      const to = answer instanceof Problem ? null : redirectOf(answer, at)
      if (to === null || !['GET', 'HEAD'].includes(method)) return answer
      if (hops === maxRedirects || (to.protocol !== 'https:' && to.protocol !== at.protocol))
        throw this.#denied(`it sends us on to ${to.origin}, where the login cannot follow`)
      at = to
    }
  }

  async #try(
    method: Method | 'POST',
    url: string,
    { authorization, manifest }: Sent,
    signal: AbortSignal,
  ): Promise<Answer | Problem> {
    try {
      const {
        statusCode: status,
        headers: got,
        body,
      } = await request(url, {
        method,
        dispatcher: this.#agent,
        signal,
        headers: {
          accept,
          ...(authorization && { authorization }),
          ...(manifest && { 'content-type': manifest.mediaType }),
        },
        body: manifest?.bytes ?? null,
      })
      const bytes = await readAll(body)
      if (status < 500 && status !== 429) return { status, headers: got, bytes }
      return this.#unavailable(`it answered ${status}`)
    } catch (cause) {
      signal.throwIfAborted()
      return this.#unavailable('it did not answer', cause)
    }
  }

  #unavailable(why: string, cause?: unknown): Problem {
    return new Problem(
      'registry-unavailable',
      `The registry ${this.#host} does not answer: ${why}. Try again later.`,
      {
        cause,
      },
    )
  }

  #denied(why: string): Problem {
    const detail = `The registry ${this.#host} refused the builder's login (${why}). Check the builder's token.`
    return new Problem('registry-denied', detail)
  }
}

type Sent = { authorization: string | null; manifest: Omit<Manifest, 'digest'> | null }
type Answer = { status: number; headers: Dispatcher.ResponseData['headers']; bytes: Buffer }

function redirectOf({ status, headers }: Answer, from: URL): URL | null {
  const place = String(headers['location'] ?? '')
  return [301, 302, 303, 307, 308].includes(status) && URL.canParse(place, from.href)
    ? new URL(place, from.href)
    : null
}

const mediaTypeOf = ({ headers }: Answer): string =>
  String(headers['content-type'] ?? '').split(';')[0]!
export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of body) {
    sizeBytes += chunk.length
    if (sizeBytes > manifestBytes) throw new Error(`an answer of more than ${manifestBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
