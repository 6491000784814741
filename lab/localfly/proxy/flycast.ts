import { once } from 'node:events'
import type { Server } from 'node:http'
import { insidePorts } from '../network/inside.ts'
import type { FlyState } from '../state.ts'

const usual = 80
/** The API and the registry listen there, on the same address. */
const taken = new Set<number>(Object.values(insidePorts))

/**
 * Flycast: Fly's proxy on the network of the machines, on port 80 and every port of a service with
 * the handler `http` alone. All apps share one address, so the proxy goes by the host name, and a
 * service without a handler (raw TCP) is not there.
 */
export class Flycast {
  readonly #state: FlyState
  readonly #host: string
  readonly #open: () => Server
  readonly #servers = new Map<number, Server>()
  #isOver = false

  static async start(parts: {
    state: FlyState
    host: string
    proxy: () => Server
  }): Promise<Flycast> {
    const flycast = new Flycast(parts.state, parts.host, parts.proxy)
    flycast.#listen(usual)
    flycast.#update()
    await Promise.all([...flycast.#servers.values()].map((server) => once(server, 'listening')))
    parts.state.onChange(() => flycast.#update())
    return flycast
  }

  private constructor(state: FlyState, host: string, open: () => Server) {
    this.#state = state
    this.#host = host
    this.#open = open
  }

  #update(): void {
    for (const { config } of this.#state.machines.values())
      for (const { ports } of config.services ?? [])
        for (const { port, handlers } of ports ?? [])
          if (typeof port === 'number' && handlers?.join() === 'http') this.#listen(port)
  }

  #listen(port: number): void {
    if (this.#isOver || this.#servers.has(port) || taken.has(port)) return
    const server = this.#open()
    server.requestTimeout = 0
    server.on('error', (error) => console.error(`localfly: Flycast on port ${port}:`, error))
    this.#servers.set(port, server)
    server.listen(port, this.#host)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    const servers = [...this.#servers.values()].filter(({ listening }) => listening)
    await Promise.all(
      servers.map((server) => {
        const closed = once(server, 'close')
        server.close()
        server.closeAllConnections()
        return closed
      }),
    )
  }
}
