import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { GoAway, StreamMessage } from '#api/event-stream.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import { renderEvent, renderLine } from '#api/text/render-event.ts'
import { renderVerdict } from '#api/text/render-verdict.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Page } from '../../deployments/follow.ts'
import type { LogFilter } from './filter.ts'

/** The media types of a log. The first is the default. */
export const logTypes = ['text/event-stream', 'application/x-ndjson', 'text/plain'] as const
export type LogType = (typeof logTypes)[number]

/** What the formats need of a deployment. It is small, because each reader holds one. */
export type DeploymentRef = Pick<Deployment, 'id' | 'app' | 'createdAt' | 'state'>

/** The format of a log on the connection: its parts, in the order of sending. */
type Format = {
  start: (about: DeploymentRef) => string
  event: (event: DeploymentEvent, about: DeploymentRef) => string
  heartbeat: (state: DeploymentState, about: DeploymentRef) => string
  end: (deployment: Deployment) => string
  disconnect: (message: GoAway, about: DeploymentRef) => string
}

const jsonLine = (message: StreamMessage) => `${visibleJson(message)}\n`
const serverSent = (message: StreamMessage) =>
  `event: ${message.type}\ndata: ${visibleJson(message)}\n\n`

export const formats: Record<LogType, Format> = {
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
    end: (deployment) => renderVerdict(deployment),
    disconnect: ({ detail }, { id }) => `\n${detail} Continue at ${fill(routes.events, { id })}\n`,
  },
}

const bytesOf = oncePerPage<Buffer>()
const chunksOf = oncePerPage<Buffer>()

/** The events of a page that the filter keeps, as bytes. */
export function rendered(
  page: Page,
  type: LogType,
  about: DeploymentRef,
  { key, keeps, learn }: LogFilter,
): Buffer {
  learn(page)
  const { event: render } = formats[type]
  return bytesOf(page, key === '' ? type : `${type} ${key}`, () =>
    Buffer.from(
      page
        .filter(keeps)
        .map((event) => render(event, about))
        .join(''),
    ),
  )
}

/** The same, as a chunk of a chunked body. Empty without events: an empty chunk ends the body. */
export const renderedChunk: typeof rendered = (page, type, about, filter) =>
  chunksOf(page, filter.key === '' ? type : `${type} ${filter.key}`, () => {
    const bytes = rendered(page, type, about, filter)
    return bytes.length === 0 ? bytes : asChunk(bytes)
  })

/** A chunk of a body (RFC 9112, 7.1). `bytes` is not empty. */
export function asChunk(bytes: string | Buffer): Buffer {
  const size = Buffer.byteLength(bytes).toString(16)
  return Buffer.concat([Buffer.from(`${size}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')])
}

/** Keeps what was rendered of a page, so that all its readers with the same key share it. */
export function oncePerPage<T>(): (page: Page, key: string, render: () => T) => T {
  const renderings = new WeakMap<Page, Map<string, T>>()
  return (page, key, render) => {
    const known = renderings.get(page) ?? new Map<string, T>()
    renderings.set(page, known)
    const rendering = known.get(key) ?? render()
    known.set(key, rendering)
    return rendering
  }
}
