import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Connections } from './connections.ts'

/** What Node hands out: the bare connection, and what came behind the request. */
export type Upgrade = { request: IncomingMessage; socket: Socket; head: Buffer }

/**
 * What becomes of `Upgrade`. Only the log's WebSocket is taken; everything else, as the h2c that curl and Java offer, is
 * served as plain HTTP/1.1 (RFC 9110, 7.8).
 *
 * Node's parser stops after a request with `Upgrade`, whether it is taken or not, and loses what came with it. So each
 * such request without a body is taken from Node, and put back without that header when it is none of ours.
 */
export class Upgrades {
  readonly #connections: Connections
  /** Those whose handshake was put back with its header. */
  readonly #refused = new WeakSet<Socket>()

  constructor(connections: Connections) {
    this.#connections = connections
  }

  /**
   * Whether Node hands out the connection: never while an earlier answer is under way, never with a body (Node hands it
   * out unread), and not behind a handshake that was refused.
   */
  readonly take = (request: IncomingMessage): boolean => {
    const { socket, httpVersion, headers } = request
    const hasBody =
      headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    return (
      httpVersion === '1.1' &&
      !hasBody &&
      !this.#connections.isBusy(socket) &&
      !this.#refused.has(socket)
    )
  }

  /** Lets the server read a request again, as plain HTTP; with the header `Upgrade` where it is refused for that. */
  putBack(server: Server, { request, socket, head }: Upgrade, keepHeader: boolean): void {
    if (socket.destroyed) return
    if (keepHeader) this.#refused.add(socket)
    const { method, url, httpVersion, rawHeaders } = request
    const lines = [`${method} ${url} HTTP/${httpVersion}`]
    for (let at = 0; at < rawHeaders.length; at += 2)
      if (keepHeader || rawHeaders[at]!.toLowerCase() !== 'upgrade')
        lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]!.replaceAll(/[\r\n]+/g, ' ')}`)
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    server.emit('connection', socket)
  }
}

export const isWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'
