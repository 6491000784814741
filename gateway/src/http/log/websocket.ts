import type { Socket } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import type { Deployment } from '#api/deployment.ts'
import type { GoAway } from '#api/event-stream.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Page } from '../../deployments/follow.ts'
import type { Upgrade } from '../upgrades.ts'
import type { OpenReader } from './endpoint.ts'
import type { LogFilter } from './filter.ts'
import { oncePerPage } from './formats.ts'
import { type LogDeps, type LogSink, openSession } from './session.ts'

/** The log over WebSocket, at the events' path: one JSON message per event, then a closing one. */
export class EventsSocket {
  readonly #deps: LogDeps
  readonly #openReader: OpenReader
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: 4096,
    maxFragments: 16,
    maxBufferedChunks: 64,
    perMessageDeflate: false,
    autoPong: false,
  })

  constructor(deps: LogDeps, openReader: OpenReader) {
    this.#deps = deps
    this.#openReader = openReader
  }

  /** Takes over a connection if its request may read the log. Otherwise calls `refused`. */
  take({ request, socket, head }: Upgrade, refused: () => void): void {
    this.#openReader(request)
      .then(
        ({ deployment: { id }, after, filter, rightEnds }) =>
          this.#server.handleUpgrade(request, socket, head, (reader) =>
            openSession(
              this.#deps,
              { id, after: filter.fromStart ? 0 : after, rightEnds },
              new SocketSink(reader, socket, filter),
            ),
          ),
        refused,
      )
      .catch((err: unknown) => {
        this.#deps.log.error({ err }, 'log reader failed')
        socket.destroy()
      })
  }

  /** Cuts every connection that is still open. */
  cut(): void {
    for (const reader of this.#server.clients) reader.terminate()
  }
}

/** A reader needs to send only a frame now and then, to keep its connection alive. */
const maxFramesPerBeat = 100
/** The close code and the `type` of a closing message have the same meaning. */
const closeCodes: Record<GoAway['type'], number> = {
  stopping: 1001,
  'too-slow': 1013,
  unauthorized: 1008,
}

/** A log as the messages of a WebSocket. Events go to its connection as frames that all readers share. */
class SocketSink implements LogSink {
  readonly #socket: WebSocket
  readonly #line: Socket
  readonly #filter: LogFilter
  #answered = true
  #frames = 0

  constructor(socket: WebSocket, line: Socket, filter: LogFilter) {
    this.#socket = socket
    this.#line = line
    this.#filter = filter
    socket.on('pong', () => this.#hear() && (this.#answered = true))
    socket.on('message', () => this.#hear())
    // A reader that takes nothing gets no pongs either: they would pile up.
    socket.on('ping', (data) => this.#hear() && socket.bufferedAmount === 0 && socket.pong(data))
    socket.on('error', () => {}) // ws sends the close code and closes
  }

  send(page: Page): Promise<unknown> | null {
    const frames = framesOf(page, this.#filter)
    if (frames.length === 0 || this.#socket.readyState !== WebSocket.OPEN) return null
    return this.#line.write(frames)
      ? null
      : new Promise((resolve) => this.#line.once('drain', resolve))
  }

  keepAlive(): void {
    this.#socket.ping()
    this.#answered = false
    this.#frames = 0
  }

  isStuck(): boolean {
    return !this.#answered
  }

  waitingBytes(): number {
    return this.#socket.bufferedAmount
  }

  end({ state }: Deployment): void {
    this.#socket.send(JSON.stringify({ type: 'end', state }))
    this.#socket.close(1000)
  }

  disconnect(message: GoAway): void {
    this.#socket.send(JSON.stringify(message))
    this.#socket.close(closeCodes[message.type], message.type)
  }

  fail(): void {
    this.#socket.close(1011)
  }

  cut(): void {
    this.#socket.terminate()
  }

  onClose(closed: () => void): void {
    this.#socket.once('close', closed)
  }

  /** Counts a frame of the reader. Cuts a reader that sends too many. */
  #hear(): boolean {
    if (++this.#frames === maxFramesPerBeat) this.#socket.terminate()
    return this.#frames < maxFramesPerBeat
  }
}

const framesOfPage = oncePerPage<Buffer>()

/** The events of a page that the filter keeps, as frames of a WebSocket. */
export function framesOf(page: Page, { key, keeps, learn }: LogFilter): Buffer {
  learn(page)
  return framesOfPage(page, key, () =>
    Buffer.concat(page.filter(keeps).flatMap((event) => frameOf(visibleJson(event)))),
  )
}

/** A whole text message of a server, which masks nothing (RFC 6455, 5.2). */
function frameOf(text: string): Buffer[] {
  const payload = Buffer.from(text)
  const size = payload.length
  const head = Buffer.alloc(size < 126 ? 2 : size < 2 ** 16 ? 4 : 10)
  head[0] = 0x81
  head[1] = size < 126 ? size : size < 2 ** 16 ? 126 : 127
  if (head.length === 4) head.writeUInt16BE(size, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(size), 2)
  return [head, payload]
}
