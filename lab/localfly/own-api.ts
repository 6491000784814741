/**
 * The socket `/.fly/api` of each machine. On Fly it answers without a token what a machine may do to
 * itself. Documented are OIDC tokens and suspending the machine itself (superfly/docs:
 * security/openid-connect, reference/suspend-resume). Everything else is refused here.
 */
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import type { Issuer } from '../issuer.ts'
import { org_slug } from './org-pages.ts'
import type { FlyState, Machine } from './state.ts'

/** Where a machine finds the folder of its socket. */
export const ownApiFolder = '/.fly'

export class OwnApi {
  readonly #state: FlyState
  readonly #suspend: (machine: Machine) => void
  readonly #issuer: Issuer | undefined
  readonly #servers = new Map<string, Server>()

  /** Without an issuer there are no OIDC tokens. */
  constructor(parts: {
    state: FlyState
    suspend: (machine: Machine) => void
    issuer?: Issuer | undefined
  }) {
    this.#state = parts.state
    this.#issuer = parts.issuer
    this.#suspend = parts.suspend
  }

  /** Listens for a machine, unless it does already. Returns the folder of the socket. */
  async open(machine: Machine): Promise<string> {
    const folder = this.#state.folder('own-api', machine.id)
    if (this.#servers.has(machine.id)) return folder
    // The folder stays: a container of an earlier localfly has mounted it.
    mkdirSync(folder, { recursive: true })
    const socket = join(folder, 'api')
    rmSync(socket, { force: true })
    const server = createServer((req, res) => this.#answer(machine, req, res))
    this.#servers.set(machine.id, server)
    server.listen(socket)
    await once(server, 'listening')
    chmodSync(socket, 0o777) // every user of a machine may ask
    return folder
  }

  close({ id }: Machine): void {
    this.#servers.get(id)?.close()
    this.#servers.delete(id)
    rmSync(this.#state.folder('own-api', id), { recursive: true, force: true })
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers.values()) {
      server.close()
      server.closeAllConnections()
    }
    this.#servers.clear()
  }

  #answer(machine: Machine, req: IncomingMessage, res: ServerResponse): void {
    const { pathname } = new URL(req.url ?? '/', 'http://fly')
    if (pathname === '/v1/tokens/oidc' && req.method === 'POST' && this.#issuer)
      return void this.#token(this.#issuer, machine, req, res)
    req.resume()
    const [, app, id, verb] = /^\/v1\/apps\/([^/]+)\/machines\/([^/]+)\/(\w+)$/.exec(pathname) ?? []
    if (app === undefined) return say(res, 404, { error: 'not found' })
    const isOwn = app === machine.own.app && id === machine.id
    if (!isOwn || verb !== 'suspend' || req.method !== 'POST')
      return say(res, 403, { error: 'unauthorized' })
    try {
      this.#suspend(machine)
      say(res, 200, { ok: true })
    } catch (error) {
      say(res, 412, { error: String(error) })
    }
  }

  /** `POST /v1/tokens/oidc {"aud": …}` answers with the bare token, for this machine alone. */
  async #token(issuer: Issuer, machine: Machine, req: IncomingMessage, res: ServerResponse) {
    try {
      const { aud } = ((await json(req)) ?? {}) as { aud?: unknown }
      const claims = claimsOf(this.#state, machine)
      const token = await issuer.sign({
        aud: aud ?? `https://fly.io/${claims.org_name}`,
        ...claims,
      })
      res.writeHead(200, { 'content-type': 'text/plain' }).end(token)
    } catch (error) {
      say(res, 400, { error: `invalid_argument: ${String(error)}` })
    }
  }
}

/**
 * The claims of Fly's own example (superfly/docs: security/openid-connect). Fly's ids of apps and
 * organisations are numbers as texts.
 */
function claimsOf(state: FlyState, { id, name, region, instance_id, own, config }: Machine) {
  const app = state.apps.get(own.app)
  const org = app?.org_slug ?? org_slug
  return {
    sub: `${org}:${own.app}:${name}`,
    app_id: app?.id ?? own.app,
    app_name: own.app,
    org_id: org,
    org_name: org,
    machine_id: id,
    machine_name: name,
    machine_version: instance_id,
    region,
    image: config?.image,
  }
}

function say(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' })
  res.end(JSON.stringify(body))
}
