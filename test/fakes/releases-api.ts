import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

type Release = {
  id: string
  app: string
  version: number
  status: string
  image_ref: string
  strategy: string
  definition: Record<string, any> | null
  /** Every status that it was given. */
  statuses: string[]
  error: string | null
}

/** Fly's releases in memory, as flyctl's `internal/uiex/releases.go` reads and writes them. */
export class FakeReleases {
  /** Oldest first. */
  readonly all: Release[] = []
  /** How late Fly answers to a new release. */
  delayMs = 0
  /** What a new release meets. `lost`: it is made, and the connection is cut. */
  meets: 'nothing' | 'refusal' | 'lost' = 'nothing'
  /** Refuses every status. */
  refusesStatus = false

  of(app: string): Release[] {
    return this.all.filter((release) => release.app === app)
  }

  add(app: string, image_ref: string, more: Partial<Release> = {}): Release {
    const id = `rel-${randomBytes(4).toString('hex')}`
    const version = this.of(app).length + 1
    const fresh = { status: 'pending', strategy: 'ROLLING', definition: null }
    const release = { id, app, version, image_ref, ...fresh, statuses: [], error: null, ...more }
    this.all.push(release)
    return release
  }

  async answer(request: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?')
    const [, , , , name = ''] = path.split('/')
    const reply = (status: number, value: unknown) => {
      response.writeHead(status).end(JSON.stringify(value))
    }
    if (request.method === 'GET') {
      const limit = Number(new URL(request.url ?? '', 'http://fly').searchParams.get('limit'))
      return reply(200, { releases: this.of(name).toReversed().slice(0, limit) })
    }
    const body = JSON.parse(text) as Record<string, any>
    if (path === '/graphql') {
      if (String(body['query']).includes('ipAddresses'))
        return reply(200, { data: null, errors: [{ message: 'this fake has no addresses' }] })
      const nodes = this.of(body['variables'].appName).map(
        ({ image_ref, definition, ...each }) => ({
          ...each,
          imageRef: image_ref,
          configDefinition: definition,
        }),
      )
      return reply(200, { data: { app: { releases: { nodes: nodes.toReversed() } } } })
    }
    if (request.method === 'PATCH') {
      const release = this.all.find(({ id }) => id === name)
      if (!release || this.refusesStatus) return reply(422, { error: 'not now' })
      release.status = body['status']
      release.statuses.push(body['status'])
      release.error = body['metadata']?.post_deployment_info?.error ?? null
      return reply(200, release)
    }
    const { meets } = this
    if (meets === 'refusal') return reply(403, { error: 'unauthorized' })
    const { app_name: app, image, strategy, definition } = body
    const made = this.add(app, image, { strategy, definition })
    this.meets = 'nothing'
    if (meets === 'lost') return void request.socket.destroy()
    await delay(this.delayMs)
    reply(201, { release: made })
  }
}
