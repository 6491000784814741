import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type ConnectionLimits = {
  /** Open connections that have brought no valid token yet; one more, and the oldest of them is cut. */
  strangers: number
  /** Requests that wait on one connection while an earlier one is answered; one more, and it is cut. */
  waiting: number
  /** Milliseconds for which the rest of a body is discarded after its request was answered. */
  drainMs: number
  /** Milliseconds that a caller may take to read an answer. */
  answerMs: number
}
export const defaultConnectionLimits: ConnectionLimits = {
  strangers: 2048,
  waiting: 128,
  drainMs: 3000,
  answerMs: 60_000,
}

type Connection = { answering: ServerResponse | null; waiting: (() => void)[] }

/** Limits what one caller may hold: connections without a token, requests at once, and time for its answers. */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #open = new WeakMap<Socket, Connection>()
  /** Oldest first. */
  readonly #strangers = new Set<Socket>()

  constructor(limits: ConnectionLimits = defaultConnectionLimits) {
    this.#limits = limits
  }

  accept(socket: Socket): void {
    if (this.#open.has(socket)) return // an upgrade that was not taken begins again as plain HTTP
    this.#open.set(socket, { answering: null, waiting: [] })
    this.#strangers.add(socket)
    socket.once('close', () => this.#strangers.delete(socket))
    const [oldest] = this.#strangers
    if (this.#strangers.size > this.#limits.strangers) oldest!.destroy()
  }

  /** Call it when a request of this connection was authorised: it is no longer a stranger's. */
  trust(socket: Socket): void {
    this.#strangers.delete(socket)
  }

  isBusy(socket: Socket): boolean {
    return Boolean(this.#open.get(socket)?.answering)
  }

  hasBegunAnswer(socket: Socket): boolean {
    return this.#open.get(socket)?.answering?.headersSent ?? false
  }

  /** Discards what still comes for `drainMs`, so that the caller reads its answer; then cuts the connection. */
  cutSoon(socket: Socket): void {
    const cut = setTimeout(() => socket.destroy(), this.#limits.drainMs)
    socket.once('close', () => clearTimeout(cut))
    if (socket.readableEnded) socket.destroySoon()
    else socket.once('end', () => socket.destroySoon()).resume()
  }

  /**
   * Answers a request when those before it on the same connection are answered. A caller that sends many at once thus
   * takes turns with the others.
   */
  serialize(request: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const { socket } = request
    // A socket error of one caller must not end the process. Code that reads or writes there learns of it by itself.
    request.on('error', ignore)
    response.on('error', ignore)
    const connection = this.#open.get(socket)
    if (!connection) return answer()
    const begin = () => {
      if (socket.destroyed) return
      connection.answering = response
      response.once('close', () => {
        const next = connection.waiting.shift()
        if (next) setImmediate(next)
        else connection.answering = null
      })
      this.#limitAnswer(request, response)
      answer()
    }
    if (!connection.answering && connection.waiting.length === 0) begin()
    else if (connection.waiting.length < this.#limits.waiting) connection.waiting.push(begin)
    else socket.destroy()
  }

  /** Cuts a caller that does not read an answer of known length, or that goes on sending a body after its answer. */
  #limitAnswer(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const { drainMs, answerMs } = this.#limits
    let timer: NodeJS.Timeout | undefined
    response.once('prefinish', () => {
      // A log has a watch of its own, which allows slow readers.
      if (!response.destroyed && response.hasHeader('Content-Length'))
        timer = setTimeout(() => socket.destroy(), answerMs)
    })
    response.once('close', () => {
      clearTimeout(timer)
      if (request.complete || socket.destroyed) return
      const cut = setTimeout(() => request.complete || socket.destroy(), drainMs)
      request.once('close', () => clearTimeout(cut))
    })
  }
}

const ignore = () => {}
