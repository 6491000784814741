import type { ServerResponse } from 'node:http'
import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { GoAway, StreamMessage } from '#api/event-stream.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { renderEvent, renderLine, renderVerdict } from '#api/text/render-event.ts'
import { fill, routes } from '#api/routes.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Page } from '../../deployments/follow.ts'
import type { ServerDeps } from '../deps.ts'
import { subscribe, type Reader } from './broadcast.ts'
import type { LogFilter } from './filter.ts'

type LogDeps = Pick<ServerDeps, 'store' | 'stopping' | 'heartbeatMs' | 'log'>
type LogQuery = { after: number; type: LogType; filter: LogFilter }
export const defaultHeartbeatMs = 15_000
/** What the formats need of a deployment. It is small, because each reader holds one. */
export type DeploymentRef = Pick<Deployment, 'id' | 'app' | 'createdAt' | 'state'>

/** The format of a log on the connection: its parts, in the order of sending. */
type Form = {
  start: (about: DeploymentRef) => string
  event: (event: DeploymentEvent, about: DeploymentRef) => string
  heartbeat: (state: DeploymentState, about: DeploymentRef) => string
  end: (deployment: Deployment) => string
  disconnect: (message: GoAway, about: DeploymentRef) => string
}

const jsonLine = (message: StreamMessage) => `${visibleJson(message)}\n`
const serverSent = (message: StreamMessage) =>
  `event: ${message.type}\ndata: ${visibleJson(message)}\n\n`

/** The formats of a log, by media type. The first is the default. */
export const formats = {
  'text/event-stream': {
    start: () => 'retry: 1000\n\n',
    event: (event) => `id: ${event.seq}\n${serverSent(event)}`,
    heartbeat: () => ': still here\n\n',
    end: ({ state }) => serverSent({ type: 'end', state }),
    disconnect: serverSent,
  },
  'application/x-ndjson': {
    start: () => '',
    event: jsonLine,
    heartbeat: () => '\n',
    end: ({ state }) => jsonLine({ type: 'end', state }),
    disconnect: jsonLine,
  },
  'text/plain': {
    start: ({ id, app, createdAt }) =>
      renderLine(`deployment ${id} of ${app}`, createdAt, createdAt),
    event: (event, { createdAt }) => renderEvent(event, createdAt),
    heartbeat: (state, { createdAt }) =>
      renderLine(`   still ${state}`, new Date().toISOString(), createdAt),
    end: renderVerdict,
    disconnect: ({ detail }, { id }) => `\n${detail} Read on at ${fill(routes.events, { id })}\n`,
  },
} satisfies Record<string, Form>
export type LogType = keyof typeof formats

export const stoppingMessage: GoAway = {
  type: 'stopping',
  detail: 'The gateway is stopping; the deployment goes on when it is back. Come back in a moment.',
}

export const tooSlowMessage: GoAway = {
  type: 'too-slow',
  detail:
    'You took nothing of the log for too long. Come back when you can, with the number of the last event you have.',
}

/** Sends a deployment's log after event `after` until its end, as fast as the reader takes it. */
export function sendLog(
  response: ServerResponse,
  parts: LogDeps,
  about: DeploymentRef,
  query: LogQuery,
): void {
  if (!response.destroyed) new LogReader(response, parts, about, query).begin()
}

/**
 * One HTTP answer that sends a log. There may be thousands, so it holds little, and creates a
 * promise only when the reader is slow.
 */
class LogReader implements Reader {
  seq: number
  readonly #response: ServerResponse
  readonly #deps: LogDeps
  readonly #about: DeploymentRef
  readonly #type: LogType
  readonly #filter: LogFilter
  #leave = () => {}
  #state: DeploymentState
  #idle = true
  #waitingBytes = 0
  #disconnected = false

  constructor(
    response: ServerResponse,
    parts: LogDeps,
    about: DeploymentRef,
    { after, type, filter }: LogQuery,
  ) {
    this.seq = after
    this.#response = response
    this.#deps = parts
    this.#about = about
    this.#type = type
    this.#filter = filter
    this.#state = about.state
  }

  begin(): void {
    const response = this.#response
    const { store, stopping, heartbeatMs = defaultHeartbeatMs } = this.#deps
    response.setHeader('Content-Type', `${this.#type}; charset=utf-8`)
    response.setHeader('Cache-Control', 'no-store')
    response.flushHeaders()

    const start = this.seq === 0 && formats[this.#type].start(this.#about)
    if (start) response.write(start)

    const beat = setInterval(() => this.#look(), heartbeatMs)
    const leave = subscribe(store, this.#about.id, this)

    const stop = () => this.#disconnect(stoppingMessage)
    this.#leave = () => {
      leave()
      stopping.removeEventListener('abort', stop)
    }
    stopping.addEventListener('abort', stop)

    response.on('error', ignore)
    response.once('close', () => {
      this.#leave()
      clearInterval(beat)
    })
    if (stopping.aborted) stop()
  }

  take(page: Page): Promise<unknown> | null {
    for (const event of page) if (event.type === 'state') this.#state = event.state
    const bytes = rendered(page, this.#type, this.#about, this.#filter)
    if (bytes.length === 0) return null
    this.#idle = false
    return this.#response.write(bytes)
      ? null
      : new Promise((resolve) => this.#response.once('drain', resolve))
  }

  end(deployment: Deployment): void {
    this.#leave()
    this.#response.end(formats[this.#type].end(deployment))
  }

  fail(error: unknown): void {
    this.#deps.log.error({ deploymentId: this.#about.id, err: error }, 'log reader failed')
    this.#response.destroy()
  }

  /**
   * Sends a heartbeat on an idle connection. A reader that took nothing since the last call is
   * asked to come back, and is cut at the next call.
   */
  #look(): void {
    const form: Form = formats[this.#type]
    const { writableLength: waitingBytes, writableNeedDrain, writableEnded } = this.#response
    const isWaiting = writableNeedDrain || writableEnded
    const isStuck = isWaiting && waitingBytes === this.#waitingBytes

    if (writableEnded) {
      if (isStuck || this.#disconnected) this.#response.destroy()
    } else if (isStuck) {
      this.#deps.log.warn(
        { deploymentId: this.#about.id, waitingBytes },
        'log reader takes nothing',
      )
      this.#disconnect(tooSlowMessage)
    } else if (this.#idle && !writableNeedDrain)
      this.#response.write(form.heartbeat(this.#state, this.#about))

    this.#idle = true
    this.#waitingBytes = isWaiting ? waitingBytes : 0
  }

  #disconnect(message: GoAway): void {
    this.#disconnected = true
    this.#leave()
    this.#response.end(formats[this.#type].disconnect(message, this.#about))
  }
}

/** After an error Node closes the connection itself. */
const ignore = () => {}

const renderings = new WeakMap<Page, Map<string, Buffer>>()

/** A page as bytes, rendered once for all its readers. */
export function rendered(
  page: Page,
  type: LogType,
  about: DeploymentRef,
  filter: LogFilter,
): Buffer {
  const known = renderings.get(page) ?? new Map<string, Buffer>()
  renderings.set(page, known)
  const key = `${type} ${filter.key}`
  const form: Form = formats[type]
  const shown = () =>
    page
      .filter(filter.keeps)
      .map((event) => form.event(event, about))
      .join('')
  const bytes = known.get(key) ?? Buffer.from(shown())
  known.set(key, bytes)
  return bytes
}

/** A signal that fires when either side closes the connection. */
export function untilClosed(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort()
  response.once('close', () => gone.abort())
  return gone.signal
}
