import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request, type Dispatcher } from 'undici'
import { Problem } from '#api/problem.ts'

const attempts = 4
const manifestBytes = 8 * 1024 * 1024
const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

export type Login = { username: string; password: string }
/** `sizeBytes` is the manifest's own size. */
export type Manifest = { digest: string; mediaType: string; sizeBytes: number }

/** As it lies in the registry: compressed. */
export type Layer = { digest: string; sizeBytes: number }

/** Reads what a registry holds. Problems: `registry-unavailable`, `registry-denied`. `insecure`: plain HTTP. */
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

  /** The manifest behind a tag or digest; null when there is none. */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<Manifest | null> {
    const path = `/${repository}/manifests/${reference}`
    const head = await this.#ask('HEAD', path, repository, signal)
    if (head === null) return null
    const digest = head.headers['docker-content-digest']
    const mediaType = String(head.headers['content-type'] ?? '')
    const sizeBytes = Number(head.headers['content-length'])
    if (typeof digest === 'string' && sizeBytes > 0) return { digest, mediaType, sizeBytes }
    // A registry need not send the digest: then it is made from the bytes.
    const whole = await this.#ask('GET', path, repository, signal)
    if (whole === null) return null
    const sha256 = createHash('sha256').update(whole.bytes).digest('hex')
    return { digest: `sha256:${sha256}`, mediaType, sizeBytes: whole.bytes.length }
  }

  /** The layers of an image; of one for several platforms, the first one's. Null when there is no such image. */
  async layers(repository: string, digest: string, signal: AbortSignal): Promise<Layer[] | null> {
    const answer = await this.#ask('GET', `/${repository}/manifests/${digest}`, repository, signal)
    if (answer === null) return null
    const { layers, manifests } = JSON.parse(answer.bytes.toString()) as {
      layers?: { digest: string; size: number }[]
      manifests?: { digest: string }[]
    }
    if (!layers && manifests?.[0]) return this.layers(repository, manifests[0].digest, signal)
    return (layers ?? []).map(({ digest, size }) => ({ digest, sizeBytes: size }))
  }

  async #ask(method: 'HEAD' | 'GET', path: string, repository: string, signal: AbortSignal): Promise<Answer | null> {
    const url = this.#base + path
    const first = await this.#send(method, url, this.#basic, signal)
    const challenge = String(first.headers['www-authenticate'] ?? '')
    const bearer = first.status === 401 && /^Bearer /i.test(challenge)
    const answer = bearer
      ? await this.#send(method, url, `Bearer ${await this.#token(challenge, repository, signal)}`, signal)
      : first
    if (answer.status === 404) return null
    if (answer.status < 300) return answer
    throw this.#denied(`${method} ${path}: ${answer.status}`)
  }

  /** The token dance: the registry names the place that gives tokens, our login goes there. */
  async #token(challenge: string, repository: string, signal: AbortSignal): Promise<string> {
    const said = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]))
    const realm = URL.canParse(said['realm'] ?? '') ? new URL(said['realm'] ?? '') : null
    // The login leaves for no place that the registry's own connection would not protect as well.
    if (!realm || (realm.protocol !== 'https:' && realm.protocol !== new URL(this.#base).protocol))
      throw this.#denied(`it asks for a login at "${said['realm']}"`)
    if (said['service']) realm.searchParams.set('service', said['service'])
    realm.searchParams.set('scope', said['scope'] ?? `repository:${repository}:pull`)
    const answer = await this.#send('GET', realm.href, this.#basic, signal)
    if (answer.status >= 300) throw this.#denied(`token: ${answer.status}`)
    const { token, access_token } = JSON.parse(answer.bytes.toString()) as { token?: string; access_token?: string }
    return token ?? access_token ?? ''
  }

  async #send(method: 'HEAD' | 'GET', url: string, authorization: string | null, signal: AbortSignal): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#try(method, url, authorization, signal)
      if (!(answer instanceof Problem)) return answer
      if (attempt === attempts) throw answer
      await delay(250 * 2 ** attempt * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }

  async #try(
    method: 'HEAD' | 'GET',
    url: string,
    authorization: string | null,
    signal: AbortSignal,
  ): Promise<Answer | Problem> {
    try {
      const headers = { accept, ...(authorization && { authorization }) }
      const {
        statusCode: status,
        headers: got,
        body,
      } = await request(url, { method, dispatcher: this.#agent, signal, headers })
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

type Answer = { status: number; headers: Dispatcher.ResponseData['headers']; bytes: Buffer }

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
