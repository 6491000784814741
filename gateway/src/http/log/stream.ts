import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { GoAway } from '#api/event-stream.ts'
import type { Page } from '../../deployments/follow.ts'
import type { LogFilter } from './filter.ts'
import {
  asChunk,
  type DeploymentRef,
  formats,
  type LogType,
  rendered,
  renderedChunk,
} from './formats.ts'
import { type LogDeps, type LogSink, openSession } from './session.ts'

type LogQuery = {
  after: number
  type: LogType
  filter: LogFilter
  /** Fires when the reader may read no longer. Null: never. */
  rightEnds: AbortSignal | null
  /** Takes the connection from the answer, to write chunks to it. Null: it stays with the answer. */
  detach?: () => Socket | null
}

/** Sends a deployment's log after event `after` until its end, as fast as the reader takes it. */
export function sendLog(
  response: ServerResponse,
  deps: LogDeps,
  about: DeploymentRef,
  query: LogQuery,
): void {
  if (response.destroyed) return
  const { after, type, filter, rightEnds, detach } = query
  response.setHeader('Content-Type', `${type}; charset=utf-8`)
  response.setHeader('Cache-Control', 'no-store')
  response.flushHeaders()

  const socket = detach?.() ?? null
  const sink = socket
    ? new AnswerSink(socket, about, { type, filter, isChunked: true })
    : new AnswerSink(response, about, { type, filter, isChunked: false })
  const start = after === 0 && formats[type].start(about)
  if (start) sink.write(start)
  openSession(deps, { id: about.id, after: filter.fromStart ? 0 : after, rightEnds }, sink)
}

type Form = { type: LogType; filter: LogFilter; isChunked: boolean }

/** A log as the body of an HTTP answer, which Node or the sink divides into chunks. */
class AnswerSink implements LogSink {
  readonly #line: ServerResponse | Socket
  readonly #about: DeploymentRef
  readonly #isChunked: boolean
  readonly #type: LogType
  readonly #filter: LogFilter
  #state: DeploymentState
  #idle = true
  #lastWaitingBytes = 0

  constructor(
    line: ServerResponse | Socket,
    about: DeploymentRef,
    { type, filter, isChunked }: Form,
  ) {
    this.#line = line
    this.#about = about
    this.#isChunked = isChunked
    this.#type = type
    this.#filter = filter
    this.#state = about.state
  }

  send(page: Page): Promise<unknown> | null {
    for (const event of page) if (event.type === 'state') this.#state = event.state
    const render = this.#isChunked ? renderedChunk : rendered
    const bytes = render(page, this.#type, this.#about, this.#filter)
    if (bytes.length === 0) return null
    this.#idle = false
    return this.#line.write(bytes)
      ? null
      : new Promise((resolve) => this.#line.once('drain', resolve))
  }

  write(text: string): void {
    this.#line.write(this.#isChunked ? asChunk(text) : text)
  }

  keepAlive(): void {
    if (this.#idle && !this.#line.writableNeedDrain)
      this.write(formats[this.#type].heartbeat(this.#state, this.#about))
    this.#idle = true
  }

  isStuck(): boolean {
    const { writableLength, writableNeedDrain, writableEnded } = this.#line
    const isWaiting = writableNeedDrain || writableEnded
    const isStuck = isWaiting && writableLength === this.#lastWaitingBytes
    this.#lastWaitingBytes = isWaiting ? writableLength : 0
    return isStuck
  }

  waitingBytes(): number {
    return this.#line.writableLength
  }

  end(deployment: Deployment): void {
    this.#end(formats[this.#type].end(deployment))
  }

  disconnect(message: GoAway): void {
    this.#end(formats[this.#type].disconnect(message, this.#about))
  }

  fail(): void {
    this.#line.destroy()
  }

  cut(): void {
    this.#line.destroy()
  }

  onClose(closed: () => void): void {
    this.#line.on('close', closed)
  }

  #end(text: string): void {
    this.#line.end(this.#isChunked ? Buffer.concat([asChunk(text), lastChunk]) : text)
    if (this.#line instanceof Socket) this.#line.destroySoon()
  }
}

const lastChunk = Buffer.from('0\r\n\r\n')
