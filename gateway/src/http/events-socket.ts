import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Deployment } from '#api/deployment.ts'
import type { StreamMessage } from '#api/event-stream.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { assertLogKept, follow } from '../deployments/follow.ts'
import { authorizer } from './authorize.ts'
import type { HttpParts } from './http-app.ts'
import { sendProblem } from './problem.ts'
import { afterOf, findOr404 } from './read-deployments.ts'
import { defaultHeartbeatMs, stoppingMessage } from './send-log.ts'

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
      ({ deployment, after }) =>
        this.#server.handleUpgrade(request, socket, head, (reader) => void this.#send(reader, deployment, after)),
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
    const deployment = await findOr404(this.#parts.store, id)
    assertLogKept(deployment)
    return { deployment, after: afterOf(request) }
  }

  async #send(reader: WebSocket, { id }: Deployment, after: number): Promise<void> {
    const { store, stopping, log, heartbeatMs = defaultHeartbeatMs } = this.#parts
    const gone = new AbortController()
    const signal = AbortSignal.any([gone.signal, stopping])
    reader.once('close', () => gone.abort()).on('error', () => {}) // ws says what was wrong, and closes

    // Each message waits until the one before has left, so a reader that is stuck holds one message, and answers no ping.
    const send = (message: StreamMessage) =>
      new Promise<void>((resolve) => reader.send(JSON.stringify(message), () => resolve()))
    let answered = true
    reader.on('pong', () => (answered = true))
    const beat = setInterval(() => {
      if (!answered) return reader.terminate()
      answered = false
      reader.ping()
    }, heartbeatMs)

    try {
      for await (const event of follow(store, id, after, signal)) {
        await send(event)
        if (gone.signal.aborted) return
      }
      const { state } = await findOr404(store, id)
      await send(stopping.aborted ? stoppingMessage : { type: 'end', state })
      reader.close(stopping.aborted ? 1001 : 1000)
    } catch (error) {
      log.error({ deploymentId: id, err: error }, 'log reader failed')
      reader.close(1011)
    } finally {
      clearInterval(beat)
    }
  }
}
