import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type ConnectionLimits = {
  /** Open connections without a valid token so far. One more cuts the oldest of them. */
  strangers: number
  /** Requests that wait on one connection behind an earlier one. One more cuts the connection. */
  waiting: number
  /** Milliseconds for which the gateway discards the rest of a body after its answer. */
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

type Waiting = { request?: IncomingMessage; begin: () => void }
type Connection = {
  answering: ServerResponse | null
  waiting: Waiting[]
  /** Something came that is no request. Nothing after it is read. */
  isOver: boolean
}

/** Limits callers: connections without a token, waiting requests, and time to read an answer. */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #open = new WeakMap<Socket, Connection>()
  /** Oldest first. */
  readonly #strangers = new Set<Socket>()
  #count = 0

  constructor(limits: ConnectionLimits = defaultConnectionLimits) {
    this.#limits = limits
  }

  /** One function for all: there may be thousands of connections. */
  readonly #closed = ofSocket((socket) => {
    this.#count--
    this.#strangers.delete(socket)
  })

  get count(): number {
    return this.#count
  }

  accept(socket: Socket): void {
    if (this.#open.has(socket)) return // `Upgrades.putBack` emits a connection again, as plain HTTP
    this.#open.set(socket, { answering: null, waiting: [], isOver: false })
    this.#strangers.add(socket)
    this.#count++
    socket.on('close', this.#closed)
    const [oldest] = this.#strangers
    if (this.#strangers.size > this.#limits.strangers) oldest!.destroy()
  }

  /** Call it after a request is authorized: the connection is then no stranger. */
  trust(socket: Socket): void {
    this.#strangers.delete(socket)
  }

  /** Call it for a connection that Node reads no longer. Its answer does not count as busy. */
  release(socket: Socket): void {
    this.#open.delete(socket)
  }

  isBusy(socket: Socket): boolean {
    return Boolean(this.#open.get(socket)?.answering)
  }

  hasBegunAnswer(socket: Socket): boolean {
    return this.#open.get(socket)?.answering?.headersSent ?? false
  }

  /** Discards input for `drainMs`, so that the caller can read its answer, then cuts. */
  cutSoon(socket: Socket): void {
    const cut = setTimeout(() => socket.destroy(), this.#limits.drainMs)
    socket.once('close', () => clearTimeout(cut))
    if (socket.readableEnded) socket.destroySoon()
    else socket.once('end', () => socket.destroySoon()).resume()
  }

  /**
   * Answers the requests of one connection one after the other. A caller that sends many at once
   * takes turns with other callers.
   */
  serialize(request: IncomingMessage, response: ServerResponse, answer: () => void): void {
    const { socket } = request
    // A socket error of one caller must not end the process. Code that reads or writes there gets
    // its own error.
    request.on('error', ignore)
    response.on('error', ignore)
    // Each part of the way of an answer waits for its end, and a pipeline adds several of its own.
    response.setMaxListeners(30)

    const connection = this.#open.get(socket)
    if (!connection) return answer()

    const begin = () => {
      if (socket.destroyed) return
      connection.answering = response
      response.once('close', () => {
        const next = connection.waiting.shift()
        if (next) setImmediate(next.begin)
        else connection.answering = null
      })
      this.#limitAnswer(request, response)
      answer()
    }

    if (!connection.answering && connection.waiting.length === 0) begin()
    else if (connection.waiting.length < this.#limits.waiting)
      connection.waiting.push({ request, begin })
    else socket.destroy()
  }

  /**
   * Runs `act` after the answers to the requests that have arrived as a whole, once for a
   * connection. At once if what arrives now is a part of the request that is answered.
   */
  afterWhole(socket: Socket, act: () => void): void {
    const connection = this.#open.get(socket)
    if (!connection?.answering?.req.complete) return act()
    if (connection.isOver) return
    connection.isOver = true
    if (connection.waiting.at(-1)?.request?.complete === false) connection.waiting.pop()
    const begin = () => {
      connection.answering = null
      act()
    }
    connection.waiting.push({ begin })
  }

  /** Cuts a caller that does not read a sized answer, or keeps sending a body after it. */
  #limitAnswer(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    const { drainMs, answerMs } = this.#limits
    let timer: NodeJS.Timeout | undefined
    response.once('prefinish', () => {
      // Streamed logs have their own check, which allows slow readers.
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

/** A listener that many sockets share. */
export const ofSocket = (hear: (socket: Socket) => void) =>
  function (this: Socket): void {
    hear(this)
  }

const ignore = () => {}
