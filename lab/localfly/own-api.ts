/**
 * The socket `/.fly/api` of each machine. On Fly it answers without a token what a machine may do to
 * itself. Documented are OIDC tokens, which localfly does not have, and suspending the machine
 * itself (superfly/docs: security/openid-connect, reference/suspend-resume). Everything else is
 * refused here.
 */
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { FlyState, Machine } from './state.ts'

/** Where a machine finds the folder of its socket. */
export const ownApiFolder = '/.fly'

export class OwnApi {
  readonly #state: FlyState
  readonly #suspend: (machine: Machine) => void
  readonly #servers = new Map<string, Server>()

  constructor(parts: { state: FlyState; suspend: (machine: Machine) => void }) {
    this.#state = parts.state
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
    req.resume()
    const { pathname } = new URL(req.url ?? '/', 'http://fly')
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
}

function say(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' })
  res.end(JSON.stringify(body))
}
