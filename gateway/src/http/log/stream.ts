import type { ServerResponse } from 'node:http'
import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { GoAway } from '#api/event-stream.ts'
import type { Page } from '../../deployments/follow.ts'
import type { LogFilter } from './filter.ts'
import { type DeploymentRef, formats, type LogType, rendered } from './formats.ts'
import { type LogDeps, type LogSink, openSession } from './session.ts'

/** `rightEnds` fires when the reader may read no longer. Null: never. */
type LogQuery = { after: number; type: LogType; filter: LogFilter; rightEnds: AbortSignal | null }

/** Sends a deployment's log after event `after` until its end, as fast as the reader takes it. */
export function sendLog(
  response: ServerResponse,
  deps: LogDeps,
  about: DeploymentRef,
  query: LogQuery,
): void {
  if (response.destroyed) return
  const { after, type, rightEnds } = query
  response.setHeader('Content-Type', `${type}; charset=utf-8`)
  response.setHeader('Cache-Control', 'no-store')
  response.flushHeaders()

  const start = after === 0 && formats[type].start(about)
  if (start) response.write(start)
  openSession(
    deps,
    { id: about.id, after: query.filter.fromStart ? 0 : after, rightEnds },
    new ResponseSink(response, about, query),
  )
}

/** A log as the body of an HTTP answer. */
class ResponseSink implements LogSink {
  readonly #response: ServerResponse
  readonly #about: DeploymentRef
  readonly #type: LogType
  readonly #filter: LogFilter
  #state: DeploymentState
  #idle = true
  #lastWaitingBytes = 0

  constructor(response: ServerResponse, about: DeploymentRef, { type, filter }: LogQuery) {
    this.#response = response
    this.#about = about
    this.#type = type
    this.#filter = filter
    this.#state = about.state
    response.on('error', ignore)
  }

  send(page: Page): Promise<unknown> | null {
    for (const event of page) if (event.type === 'state') this.#state = event.state
    const bytes = rendered(page, this.#type, this.#about, this.#filter)
    if (bytes.length === 0) return null
    this.#idle = false
    return this.#response.write(bytes)
      ? null
      : new Promise((resolve) => this.#response.once('drain', resolve))
  }

  keepAlive(): void {
    if (this.#idle && !this.#response.writableNeedDrain)
      this.#response.write(formats[this.#type].heartbeat(this.#state, this.#about))
    this.#idle = true
  }

  isStuck(): boolean {
    const { writableLength, writableNeedDrain, writableEnded } = this.#response
    const isWaiting = writableNeedDrain || writableEnded
    const isStuck = isWaiting && writableLength === this.#lastWaitingBytes
    this.#lastWaitingBytes = isWaiting ? writableLength : 0
    return isStuck
  }

  waitingBytes(): number {
    return this.#response.writableLength
  }

  end(deployment: Deployment): void {
    this.#response.end(formats[this.#type].end(deployment))
  }

  disconnect(message: GoAway): void {
    this.#response.end(formats[this.#type].disconnect(message, this.#about))
  }

  fail(): void {
    this.#response.destroy()
  }

  cut(): void {
    this.#response.destroy()
  }

  onClose(closed: () => void): void {
    this.#response.once('close', closed)
  }
}

/** After an error Node closes the connection itself. */
const ignore = () => {}
