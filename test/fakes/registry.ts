import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { portOf } from '../../gateway/src/host/port-of.ts'

/** A registry in memory. It holds only manifests. */
export class FakeRegistry {
  host = ''
  readonly #held = new Map<string, string>()
  readonly #server = createServer((request, response) => {
    const manifest = this.#held.get(request.url ?? '')
    response.writeHead(manifest ? 200 : 404, {
      'content-type': 'application/vnd.oci.image.manifest.v1+json',
    })
    response.end(manifest)
  })

  static async start(): Promise<FakeRegistry> {
    const fake = new FakeRegistry()
    await new Promise<void>((done) => fake.#server.listen(0, '127.0.0.1', done))
    fake.host = `127.0.0.1:${portOf(fake.#server)}`
    return fake
  }

  /** Returns its name with the tag, and its digest. */
  put(repository: string, tag: string): { name: string; digest: string } {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: 'sha256:c',
      size: 1,
    }
    const layers = [{ digest: 'sha256:l', size: 2 }]
    const manifest = JSON.stringify({
      schemaVersion: 2,
      config,
      layers,
      annotations: { repository, tag },
    })
    const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
    for (const reference of [tag, digest])
      this.#held.set(`/v2/${repository}/manifests/${reference}`, manifest)
    return { name: `${this.host}/${repository}:${tag}`, digest }
  }

  /** Gives another repository an image, by its full name. Returns its digest. */
  copy(name: string, to: string): string {
    const [, from, reference] = /^[^/]+\/(.+?)[:@]([^/]+)$/.exec(name) ?? []
    const manifest = this.#held.get(`/v2/${from}/manifests/${reference}`)!
    const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
    this.#held.set(`/v2/${to}/manifests/${digest}`, manifest)
    return digest
  }

  lose(repository: string, digest: string): void {
    this.#held.delete(`/v2/${repository}/manifests/${digest}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }
}
