import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { followPages, type Page } from '../deployments/follow.ts'
import { authorizer } from './authorize.ts'
import type { HttpParts } from './http-app.ts'
import { filterOf, type LogFilter } from './log-filter.ts'
import { sendProblem } from './problem.ts'
import { afterOf, findOr404 } from './read-deployments.ts'
import { defaultHeartbeatMs, stoppingMessage, tooSlowMessage } from './send-log.ts'

const address = new RegExp(`^${routes.events.replace(':id', '([^/]+)')}$`)

/** The log over WebSocket, at the address of the events: one JSON message per event, then a closing message. */
export class EventsSocket {
  readonly #parts: HttpParts
  readonly #authorize: (request: IncomingMessage) => void
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 4096, perMessageDeflate: false })

  constructor(parts: HttpParts) {
    this.#parts = parts
    this.#authorize = authorizer(parts.tokens)
  }

  readonly upgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    this.#admit(request).then(
      ({ deployment, after, filter }) =>
        this.#server.handleUpgrade(
          request,
          socket,
          head,
          (reader) => void this.#send(reader, deployment, { after, filter }),
        ),
      (error: unknown) => {
        const response = new ServerResponse(request)
        response.shouldKeepAlive = false
        response.assignSocket(socket)
        response.once('finish', () => socket.destroySoon())
        void sendProblem(request, response, error, this.#parts.log)
      },
    )
    socket.on('error', () => socket.destroy())
  }

  /** Cuts every line that is still open. */
  cut(): void {
    for (const reader of this.#server.clients) reader.terminate()
  }

  async #admit(request: IncomingMessage) {
    this.#authorize(request)
    const id = address.exec(new URL(request.url ?? '', 'http://gateway').pathname)?.[1]
    if (id === undefined) throw new Problem('route-not-found', 'There is no WebSocket at this address.')
    if (this.#parts.stopping.aborted) throw new Problem('stopping', stoppingMessage.detail)
    return { deployment: await findOr404(this.#parts.store, id), after: afterOf(request), filter: filterOf(request) }
  }

  async #send(reader: WebSocket, { id }: Deployment, { after, filter }: { after: number; filter: LogFilter }) {
    const { store, stopping, log, heartbeatMs = defaultHeartbeatMs } = this.#parts
    const gone = new AbortController()
    const leave = () => gone.abort()
    stopping.addEventListener('abort', leave)
    reader.once('close', leave).on('error', () => {}) // ws says what was wrong, and closes

    // Each page waits until the one before has left, so a reader that is stuck holds one page, and answers no ping.
    const send = (messages: string[]) =>
      new Promise<void>((resolve) => {
        for (const [at, message] of messages.entries())
          reader.send(message, at === messages.length - 1 ? () => resolve() : () => {})
      })
    let answered = true
    reader.on('pong', () => (answered = true))
    const beat = setInterval(() => {
      if (answered) reader.ping()
      else if (gone.signal.aborted) reader.terminate()
      else {
        log.warn({ deploymentId: id, waitingBytes: reader.bufferedAmount }, 'log reader is too slow')
        reader.close(1013, tooSlowMessage.detail)
        leave()
      }
      answered = false
    }, heartbeatMs)
    reader.once('close', () => clearInterval(beat))

    try {
      for await (const page of followPages(store, id, after, gone.signal)) {
        const messages = messagesOf(page, filter)
        if (messages.length > 0) await send(messages)
      }
      if (stopping.aborted) {
        await send([JSON.stringify(stoppingMessage)])
        reader.close(1001)
      } else if (!gone.signal.aborted) {
        await send([JSON.stringify({ type: 'end', state: (await findOr404(store, id)).state })])
        reader.close(1000)
      }
    } catch (error) {
      log.error({ deploymentId: id, err: error }, 'log reader failed')
      reader.close(1011)
    } finally {
      stopping.removeEventListener('abort', leave)
    }
  }
}

const written = new WeakMap<Page, Map<string, string[]>>()

/** A page as messages, made once for all who get it. */
function messagesOf(page: Page, { key, keeps }: LogFilter): string[] {
  const known = written.get(page) ?? new Map<string, string[]>()
  written.set(page, known)
  const messages = known.get(key) ?? page.filter(keeps).map((event) => JSON.stringify(event))
  known.set(key, messages)
  return messages
}
