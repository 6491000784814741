import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { portOf } from '../../gateway/src/host/port-of.ts'
import { type Asked, digestOf, type Mischief } from './push-registry.ts'

type Login = { username: string; password: string }
/** How it admits requests: everybody reads, by name and password, or by tokens of its own server. */
type Auth = { kind: 'open' } | ({ kind: 'basic' | 'token' } & Login)
type Manifest = { mediaType?: string; schemaVersion?: number; manifests?: object[] }
type ImageOptions = { platform?: string; docker?: boolean; manifest?: object; config?: unknown }
type Kept = { bytes: Buffer; type: string }

export const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
}

/**
 * A registry in memory, with the parts of distribution's API that a copy of an image uses: reads,
 * uploads, mounts, basic and token authentication.
 */
export class ImageRegistry {
  host = ''
  auth: Auth = { kind: 'open' }
  mischief: Mischief = () => false
  readonly asked: Asked[] = []
  /** By repository and digest. */
  readonly blobs = new Map<string, Buffer>()
  /** By repository and reference. */
  readonly manifests = new Map<string, Kept>()
  readonly #tokens = new Map<string, string[]>()
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy())
  })

  static async start(auth: Auth = { kind: 'open' }): Promise<ImageRegistry> {
    const fake = new ImageRegistry()
    fake.auth = auth
    await new Promise<void>((done) => fake.#server.listen(0, '127.0.0.1', done))
    fake.host = `127.0.0.1:${portOf(fake.#server)}`
    return fake
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  /** Keeps an image of these layers, and returns its digest. */
  putImage(
    repository: string,
    reference: string,
    layers: (Buffer | string)[],
    {
      platform = 'linux/amd64',
      docker = false,
      manifest = {},
      config: own = {},
    }: ImageOptions = {},
  ): string {
    const [os, architecture, variant] = platform.split('/')
    const config = Buffer.from(JSON.stringify({ os, architecture, variant, config: own }))
    const body = {
      schemaVersion: 2,
      mediaType: docker ? types.dockerManifest : types.manifest,
      config: this.#keep(repository, config, docker ? types.dockerConfig : types.config),
      layers: layers.map((layer) => this.#keep(repository, Buffer.from(layer), types.layer)),
      ...manifest,
    }
    return this.putManifest(repository, reference, body)
  }

  putIndex(
    repository: string,
    reference: string,
    images: { digest: string; platform?: string }[],
    mediaType = types.index,
  ): string {
    const manifests = images.map(({ digest, platform }) => {
      const [os, architecture, variant] = platform?.split('/') ?? []
      const size = this.manifests.get(`${repository} ${digest}`)?.bytes.length ?? 0
      return {
        mediaType: types.manifest,
        digest,
        size,
        platform: platform && { os, architecture, variant },
      }
    })
    return this.putManifest(repository, reference, { schemaVersion: 2, mediaType, manifests })
  }

  putManifest(repository: string, reference: string, body: Manifest): string {
    const kept = {
      bytes: Buffer.from(JSON.stringify(body)),
      type: body.mediaType ?? types.manifest,
    }
    const digest = digestOf(kept.bytes)
    for (const name of [reference, digest]) this.manifests.set(`${repository} ${name}`, kept)
    return digest
  }

  /** Requests of one kind: `GET blobs`. */
  count(method: string, kind: string): number {
    return this.asked.filter(
      (each) => each.method === method && each.url.pathname.includes(`/${kind}/`),
    ).length
  }

  #keep(repository: string, bytes: Buffer, mediaType: string) {
    const digest = digestOf(bytes)
    this.blobs.set(`${repository} ${digest}`, bytes)
    return { mediaType, digest, size: bytes.length }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', `http://${this.host}`)
    const asked = { method, url, headers }
    this.asked.push(asked)
    if (await this.mischief(asked, request, response)) return
    if (url.pathname === '/token') return this.#giveToken(asked, response)
    const [, repository = '', kind = '', rest = ''] =
      /^\/v2\/(.+)\/(blobs|manifests)\/(.+)$/.exec(url.pathname) ?? []
    if (!this.#admits(asked, repository)) return this.#challenge(repository, method, response)
    if (kind === 'manifests') return this.#manifest(request, response, `${repository} ${rest}`)
    if (method === 'POST') return this.#begin(url, repository, response)
    if (method === 'PUT') return this.#end(request, response, { url, repository })
    const blob = this.blobs.get(`${repository} ${rest}`)
    if (!blob) return missing(response, 'BLOB_UNKNOWN')
    response.writeHead(200, { 'content-length': blob.length }).end(method === 'HEAD' ? '' : blob)
  }

  async #manifest(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    if (request.method === 'PUT') {
      const kept = { bytes: await buffer(request), type: String(request.headers['content-type']) }
      const [repository = ''] = name.split(' ')
      for (const each of [name, `${repository} ${digestOf(kept.bytes)}`])
        this.manifests.set(each, kept)
      return void response.writeHead(201).end()
    }
    const kept = this.manifests.get(name)
    if (!kept) return missing(response, 'MANIFEST_UNKNOWN')
    response.writeHead(200, {
      'content-type': kept.type,
      'docker-content-digest': digestOf(kept.bytes),
    })
    response.end(request.method === 'HEAD' ? '' : kept.bytes)
  }

  #begin(url: URL, repository: string, response: ServerResponse): void {
    const [mount, from] = [url.searchParams.get('mount'), url.searchParams.get('from')]
    const blob = this.blobs.get(`${from} ${mount}`)
    if (blob) {
      this.blobs.set(`${repository} ${mount}`, blob)
      return void response.writeHead(201).end()
    }
    response.writeHead(202, {
      location: `/v2/${repository}/blobs/uploads/${randomUUID()}?_state=1`,
    })
    response.end()
  }

  async #end(
    request: IncomingMessage,
    response: ServerResponse,
    { url, repository }: { url: URL; repository: string },
  ): Promise<void> {
    const bytes = await buffer(request)
    const digest = digestOf(bytes)
    const isWhole = url.searchParams.get('digest') === digest
    if (isWhole) this.blobs.set(`${repository} ${digest}`, bytes)
    response.writeHead(isWhole ? 201 : 400).end()
  }

  #admits({ headers, method }: Asked, repository: string): boolean {
    if (this.auth.kind === 'open') return true
    if (this.auth.kind === 'basic') return headers.authorization === basic(this.auth)
    const granted = this.#tokens.get(String(headers.authorization).replace('Bearer ', '')) ?? []
    const needed = ['GET', 'HEAD'].includes(method) ? 'pull' : 'push'
    return granted.some(
      (scope) => scope.startsWith(`repository:${repository}:`) && scope.includes(needed),
    )
  }

  #challenge(repository: string, method: string, response: ServerResponse): void {
    const scope = `repository:${repository}:${['GET', 'HEAD'].includes(method) ? 'pull' : 'pull,push'}`
    const realm = `http://${this.host}/token`
    const challenge =
      this.auth.kind === 'basic'
        ? 'Basic realm="fake"'
        : `Bearer realm="${realm}",service="fake",scope="${scope}"`
    response.writeHead(401, { 'www-authenticate': challenge })
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
  }

  #giveToken({ url, headers }: Asked, response: ServerResponse): void {
    if (this.auth.kind !== 'token' || headers.authorization !== basic(this.auth)) {
      response.writeHead(401).end('{"errors":[{"code":"DENIED","message":"denied"}]}')
      return
    }
    const token = randomUUID()
    this.#tokens.set(token, url.searchParams.getAll('scope'))
    response.writeHead(200).end(JSON.stringify({ token }))
  }
}

export const basic = ({ username, password }: Login): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

function missing(response: ServerResponse, code: string): void {
  const message = code.toLowerCase().replace('_', ' ')
  response.writeHead(404).end(JSON.stringify({ errors: [{ code, message }] }))
}
