import { type WebSocket, WebSocketServer } from 'ws'
import type { Deployment } from '#api/deployment.ts'
import type { GoAway } from '#api/event-stream.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Page } from '../../deployments/follow.ts'
import type { ServerDeps } from '../deps.ts'
import type { Upgrade } from '../upgrades.ts'
import { subscribe } from './broadcast.ts'
import { assertHandshake, type readerGate } from './endpoint.ts'
import type { LogFilter } from './filter.ts'
import { defaultHeartbeatMs, stoppingMessage, tooSlowMessage } from './stream.ts'

/** A reader needs to send only a frame now and then, to keep its connection alive. */
const maxFramesPerBeat = 100

/** The log over WebSocket, at the events' path: one JSON message per event, then a closing one. */
export class EventsSocket {
  readonly #deps: ServerDeps
  readonly #openReader: ReturnType<typeof readerGate>
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: 4096,
    maxFragments: 16,
    maxBufferedChunks: 64,
    perMessageDeflate: false,
    autoPong: false,
  })

  constructor(deps: ServerDeps, openReader: ReturnType<typeof readerGate>) {
    this.#deps = deps
    this.#openReader = openReader
  }

  /** Takes over a connection if its request may read the log. Otherwise calls `refused`. */
  take({ request, socket, head }: Upgrade, refused: () => void): void {
    this.#openReader(request)
      .then((asked) => {
        assertHandshake(request)
        return asked
      })
      .then(
        ({ deployment, ...query }) =>
          this.#server.handleUpgrade(request, socket, head, (reader) =>
            this.#send(reader, deployment, query),
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

  #send(
    socket: WebSocket,
    { id }: Deployment,
    { after, filter }: { after: number; filter: LogFilter },
  ): void {
    const { store, stopping, log, heartbeatMs = defaultHeartbeatMs } = this.#deps
    let answered = true
    let disconnected = false
    let frames = 0

    const disconnect = (code: number, message: GoAway) => {
      disconnected = true
      leave()
      socket.send(JSON.stringify(message))
      socket.close(code, message.type)
    }
    const stop = () => disconnect(1001, stoppingMessage)

    const beat = setInterval(() => {
      if (answered) socket.ping()
      else if (disconnected) socket.terminate()
      else {
        log.warn(
          { deploymentId: id, waitingBytes: socket.bufferedAmount },
          'log reader takes nothing',
        )
        disconnect(1013, tooSlowMessage)
      }
      answered = false
      frames = 0
    }, heartbeatMs)

    const hear = () => {
      if (++frames === maxFramesPerBeat) socket.terminate()
      return frames < maxFramesPerBeat
    }

    socket.on('pong', () => hear() && (answered = true))
    socket.on('message', hear)
    // A reader that takes nothing gets no pongs either: they would pile up.
    socket.on('ping', (data) => hear() && socket.bufferedAmount === 0 && socket.pong(data))
    socket.on('error', () => {}) // ws sends the close code and closes
    socket.once('close', () => {
      leave()
      clearInterval(beat)
      stopping.removeEventListener('abort', stop)
    })

    stopping.addEventListener('abort', stop)
    const leave = subscribe(store, id, {
      seq: after,
      take(page) {
        const messages = messagesOf(page, filter)
        if (messages.length === 0) return null
        const sent = Promise.withResolvers<void>()
        for (const [at, message] of messages.entries())
          socket.send(message, at === messages.length - 1 ? () => sent.resolve() : () => {})
        return socket.bufferedAmount > 0 ? sent.promise : null
      },
      end({ state }) {
        socket.send(JSON.stringify({ type: 'end', state }))
        socket.close(1000)
      },
      fail(error) {
        log.error({ deploymentId: id, err: error }, 'log reader failed')
        socket.close(1011)
      },
    })

    if (stopping.aborted) stop()
  }
}

const written = new WeakMap<Page, Map<string, string[]>>()

/** A page as messages, rendered once for all its readers. */
function messagesOf(page: Page, { key, keeps }: LogFilter): string[] {
  const known = written.get(page) ?? new Map<string, string[]>()
  written.set(page, known)
  const messages = known.get(key) ?? page.filter(keeps).map(visibleJson)
  known.set(key, messages)
  return messages
}
