import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request, type Dispatcher } from 'undici'
import { Problem } from '#api/problem.ts'
import { imageTypes } from './image-parts.ts'

const attempts = 4
const manifestBytes = 8 * 1024 * 1024
const accept = imageTypes.join(', ')

export type Login = { username: string; password: string }
/** An image's manifest, or the index of several platforms' images. */
export type Manifest = { digest: string; mediaType: string; bytes: Uint8Array }
type Method = 'GET' | 'PUT'

/** What a registry holds, by name. Problems: `registry-unavailable`, `registry-denied`. `insecure`: plain HTTP. */
export class Registry {
  readonly #base: string
  readonly #host: string
  readonly #basic: string | null
  readonly #agent = new Agent({ connect: { timeout: 5000 }, headersTimeout: 30_000, bodyTimeout: 30_000 })

  constructor({ host, login, insecure = false }: { host: string; login: Login | null; insecure?: boolean }) {
    this.#host = host
    this.#base = `${insecure ? 'http' : 'https'}://${host}/v2`
    this.#basic = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent.destroy()
  }

  /** The manifest behind a tag or digest; null when there is none. What comes for a digest is what the digest says. */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<Manifest | null> {
    const answer = await this.#ask('GET', repository, reference, null, signal)
    if (answer === null) return null
    const digest = digestOf(answer.bytes)
    if (reference.includes(':') && reference !== digest)
      throw this.#unavailable(`for ${reference} it gave ${digest}, which is something else`)
    return { digest, mediaType: mediaTypeOf(answer), bytes: answer.bytes }
  }

  /** Puts a manifest under a tag; what it names must be in the repository already. */
  async tag(repository: string, tag: string, manifest: Omit<Manifest, 'digest'>, signal: AbortSignal): Promise<void> {
    if (!(await this.#ask('PUT', repository, tag, manifest, signal)))
      throw this.#unavailable(`it took an image for ${repository}, and now knows no such repository`)
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
    const send = (authorization: string | null) => this.#send(method, url, { authorization, manifest }, signal)
    const first = await send(this.#basic)
    const challenge = String(first.headers['www-authenticate'] ?? '')
    const bearer = first.status === 401 && /^Bearer /i.test(challenge)
    const answer = bearer ? await send(`Bearer ${await this.#token(challenge, repository, signal)}`) : first
    if (answer.status === 404) return null
    if (answer.status < 300) return answer
    throw this.#denied(`${method} ${path}: ${answer.status}`)
  }

  /** The token dance: the registry names the place that gives tokens, our login goes there. */
  async #token(challenge: string, repository: string, signal: AbortSignal): Promise<string> {
    const said = Object.fromEntries([...challenge.matchAll(/\b(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
    const realm = URL.canParse(said['realm'] ?? '') ? new URL(said['realm'] ?? '') : null
    // The login leaves for no place that the registry's own connection would not protect as well.
    if (!realm || (realm.protocol !== 'https:' && realm.protocol !== new URL(this.#base).protocol))
      throw this.#denied(`it asks for a login at "${said['realm']}"`)
    if (said['service']) realm.searchParams.set('service', said['service'])
    realm.searchParams.set('scope', said['scope'] ?? `repository:${repository}:pull,push`)
    const answer = await this.#send('GET', realm.href, { authorization: this.#basic, manifest: null }, signal)
    if (answer.status >= 300) throw this.#denied(`token: ${answer.status}`)
    const { token, access_token } = JSON.parse(answer.bytes.toString()) as { token?: string; access_token?: string }
    return token ?? access_token ?? ''
  }

  async #send(method: Method, url: string, what: Sent, signal: AbortSignal): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#try(method, url, what, signal)
      if (!(answer instanceof Problem)) return answer
      if (attempt === attempts) throw answer
      await delay(250 * 2 ** attempt * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }

  async #try(
    method: Method,
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
    return new Problem('registry-unavailable', `The registry ${this.#host} is away: ${why}. Try again later.`, {
      cause,
    })
  }

  #denied(why: string): Problem {
    const detail = `The registry ${this.#host} refused the builder's login (${why}). Check the builder's token.`
    return new Problem('registry-denied', detail)
  }
}

type Sent = { authorization: string | null; manifest: Omit<Manifest, 'digest'> | null }
type Answer = { status: number; headers: Dispatcher.ResponseData['headers']; bytes: Buffer }

const mediaTypeOf = ({ headers }: Answer): string => String(headers['content-type'] ?? '').split(';')[0]!
export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

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
