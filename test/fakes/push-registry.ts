import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { portOf } from '../../gateway/src/host/port-of.ts'

export type Asked = { method: string; url: URL; headers: IncomingMessage['headers'] }
/** Answers a request in place of the registry, or changes the answer. True: it has answered. */
export type Mischief = (asked: Asked, request: IncomingMessage, response: ServerResponse) => unknown

/** A registry in memory to which images can be pushed. */
export class PushRegistry {
  origin = ''
  readonly asked: Asked[] = []
  readonly blobs = new Map<string, Buffer>()
  /** By repository and reference. */
  readonly manifests = new Map<string, Buffer>()
  mischief: Mischief = () => false
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy())
  })

  static async start(): Promise<PushRegistry> {
    const fake = new PushRegistry()
    await new Promise<void>((done) => fake.#server.listen(0, '127.0.0.1', done))
    fake.origin = `http://127.0.0.1:${portOf(fake.#server)}`
    return fake
  }

  /** As `Registry.find`. */
  find = async (repository: string, digest: string): Promise<string | null> =>
    this.manifests.has(`${repository}@${digest}`) ? digest : null

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', this.origin)
    const asked = { method, url, headers }
    this.asked.push(asked)
    if (await this.mischief(asked, request, response)) return
    if (!headers.authorization) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mirror"' }).end()
      return
    }
    const [, repository = '', kind, rest = ''] =
      /^\/v2\/([^/]+)\/(blobs|manifests)\/(.+)$/.exec(url.pathname) ?? []
    if (url.pathname === '/v2/') response.end('{}')
    else if (kind === 'manifests') await this.#manifest(request, response, { repository, rest })
    else if (method === 'HEAD') response.writeHead(this.blobs.has(rest) ? 200 : 404).end()
    else if (method === 'POST') {
      const location = `${this.origin}/v2/${repository}/blobs/uploads/${randomUUID()}?_state=1`
      response.writeHead(202, { location }).end()
    } else if (method === 'PUT') {
      const bytes = await buffer(request)
      const digest = digestOf(bytes)
      const isWhole = url.searchParams.get('digest') === digest
      if (isWhole) this.blobs.set(digest, bytes)
      response.writeHead(isWhole ? 201 : 400, { 'docker-content-digest': digest }).end()
    } else response.writeHead(405).end()
  }

  async #manifest(
    request: IncomingMessage,
    response: ServerResponse,
    { repository, rest }: { repository: string; rest: string },
  ): Promise<void> {
    const named = rest.includes(':') ? `${repository}@${rest}` : `${repository}:${rest}`
    if (request.method === 'PUT') {
      const bytes = await buffer(request)
      const digest = digestOf(bytes)
      for (const name of [named, `${repository}@${digest}`]) this.manifests.set(name, bytes)
      response.writeHead(201, { 'docker-content-digest': digest }).end()
      return
    }
    const bytes = this.manifests.get(named)
    response.writeHead(bytes ? 200 : 404).end(request.method === 'GET' ? bytes : undefined)
  }
}

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
