import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Connections } from './connections.ts'

/** What Node hands over: the bare connection, and the bytes after the request. */
export type Upgrade = { request: IncomingMessage; socket: Socket; head: Buffer }

/**
 * Decides about `Upgrade`. The gateway takes only the log's WebSocket. It serves any other request,
 * such as the h2c that curl and Java offer, as plain HTTP/1.1 (RFC 9110, 7.8).
 *
 * Node's parser stops after a request with `Upgrade`, taken or not, and loses the bytes after it.
 * So the gateway takes each such request without a body, and puts it back without the header if it
 * is not for the log.
 */
export class Upgrades {
  readonly #connections: Connections
  /** Sockets whose refused handshake was put back with its header. */
  readonly #refused = new WeakSet<Socket>()

  constructor(connections: Connections) {
    this.#connections = connections
  }

  /**
   * Whether Node hands over the connection. Not while an earlier answer is in progress, not with a
   * body (Node hands it over unread), and not after a refused handshake.
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

  /** Lets the server read a request as plain HTTP. A refused handshake keeps `Upgrade`. */
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
