import { createHash } from 'node:crypto'
import type { Agent } from 'undici'
import { Problem } from '#api/problem.ts'
import type { Manifest } from './manifest.ts'
import {
  basicOf,
  challengeOf,
  type Login,
  realmOf,
  tokenOf,
  tokenRequest,
} from './token-request.ts'
import { type Answer, registryAgent, Transport } from './transport.ts'

type Content = Omit<Manifest, 'digest'>
type RegistrySettings = {
  host: string
  login: Login | null
  /** Use plain HTTP. */
  insecure?: boolean
  /**
   * Connections that several registries share. They stay open when this registry is disposed of.
   */
  agent?: Agent
}

/** Reads and tags manifests in a registry, and reads small blobs. Throws `registry-unavailable` and `registry-denied`. */
export class Registry {
  readonly #base: string
  readonly #login: Login | null
  readonly #agent: Agent
  readonly #ownsAgent: boolean
  readonly #transport: Transport

  constructor({ host, login, insecure = false, agent }: RegistrySettings) {
    this.#base = `${insecure ? 'http' : 'https'}://${host}/v2`
    this.#login = login
    this.#agent = agent ?? registryAgent()
    this.#ownsAgent = agent === undefined
    this.#transport = new Transport(host, this.#agent)
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
    const answer = await this.#request({ method: 'GET', repository, reference }, signal)
    if (answer === null) return null
    const digest = digestOf(answer.bytes)
    if (reference.includes(':') && reference !== digest)
      throw this.#transport.unavailable(
        `for ${reference} it returned ${digest}, which is another manifest`,
      )
    return { digest, mediaType: mediaTypeOf(answer), bytes: answer.bytes }
  }

  /**
   * Reads a small blob of a repository, such as the configuration of an image; null if there is none.
   * Checks its content.
   */
  async blob(repository: string, digest: string, signal: AbortSignal): Promise<Buffer | null> {
    const request = { method: 'GET', kind: 'blobs', repository, reference: digest } as const
    const answer = await this.#request(request, signal)
    if (answer && digestOf(answer.bytes) !== digest)
      throw this.#transport.unavailable(`for ${digest} it returned something else`)
    return answer && answer.bytes
  }

  /**
   * The digest of a manifest that this login may read. Null if it is missing or hidden: a registry
   * does not say which.
   */
  async find(repository: string, reference: string, signal: AbortSignal): Promise<string | null> {
    try {
      const answer = await this.#request({ method: 'HEAD', repository, reference }, signal)
      const header = String(answer?.headers['docker-content-digest'] ?? '')
      const known = answer === null || /^\w+:[0-9a-f]{32,}$/.test(header)
      if (known || reference.includes(':')) return answer && (header || reference)
      return (await this.manifest(repository, reference, signal))?.digest ?? null
    } catch (error) {
      if (error instanceof Problem && error.code === 'registry-denied') return null
      throw error
    }
  }

  /**
   * Whether the registry has a manifest. Throws `registry-denied` when it refuses the login: then
   * nothing is known.
   */
  async has(repository: string, reference: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#request({ method: 'HEAD', repository, reference }, signal)) !== null
  }

  /**
   * Puts a manifest under a tag. The repository must already have everything that the manifest
   * names.
   */
  async tag(repository: string, tag: string, content: Content, signal: AbortSignal): Promise<void> {
    const request = { method: 'PUT', repository, reference: tag, content } as const
    if (!(await this.#request(request, signal)))
      throw this.#transport.unavailable(
        `it accepted an image for ${repository}, and now has no such repository`,
      )
  }

  async #request(request: ContentRequest, signal: AbortSignal): Promise<Answer | null> {
    const { method, kind = 'manifests', repository, reference, content = null } = request
    const path = `/${repository}/${kind}/${reference}`
    const send = (authorization: string | null) =>
      this.#transport.send({ method, url: this.#base + path, authorization, content }, signal)

    const first = await send(basicOf(this.#login))
    const header = String(first.headers['www-authenticate'] ?? '')
    const isBearer = first.status === 401 && /^Bearer /i.test(header)

    const scope = `repository:${repository}:${method === 'PUT' ? 'pull,push' : 'pull'}`
    const answer = isBearer
      ? await send(`Bearer ${await this.#token(challengeOf(header), scope, signal)}`)
      : first

    if (answer.status === 404) return null
    if (answer.status < 300) return answer
    throw this.#transport.denied(`${method} ${path}: ${answer.status}`)
  }

  /**
   * Token authentication: the registry names a token server, and the gateway sends its login there.
   */
  async #token(
    challenge: Record<string, string | undefined>,
    scope: string,
    signal: AbortSignal,
  ): Promise<string> {
    const realm = realmOf(challenge, this.#base)
    const { service, scope: request } = challenge
    if (!realm) throw this.#transport.denied(`it asks for a login at "${challenge['realm'] ?? ''}"`)

    const wanted = { ...(service && { service }), scope: request ?? scope }
    const answer = await this.#transport.send(tokenRequest(realm, wanted, this.#login), signal)
    if (answer.status >= 300) throw this.#transport.denied(`token: ${answer.status}`)
    return tokenOf(answer)
  }
}

type ContentRequest = {
  method: 'GET' | 'HEAD' | 'PUT'
  kind?: 'manifests' | 'blobs'
  repository: string
  reference: string
  content?: Content
}

const mediaTypeOf = ({ headers }: Answer): string =>
  String(headers['content-type'] ?? '').split(';')[0]!
export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
