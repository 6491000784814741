import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import type { ClosingMessage, StreamMessage } from '#api/event-stream.ts'
import { renderEvent, renderLine, renderVerdict } from '#api/render-event.ts'
import { fill, routes } from '#api/routes.ts'
import { followPages, type Page } from '../deployments/follow.ts'
import type { HttpParts } from './http-app.ts'
import type { LogFilter } from './log-filter.ts'

export const defaultHeartbeatMs = 15_000
/** A reader that takes nothing for this long is sent away; it has a heartbeat's worth and a page of the log waiting. */
export const defaultStuckMs = 30_000

/** How a log looks on the line: its parts in the order in which they go out. */
type Form = {
  start: (deployment: Deployment) => string
  event: (event: DeploymentEvent, deployment: Deployment) => string
  heartbeat: (state: DeploymentState, deployment: Deployment) => string
  close: (message: ClosingMessage, deployment: Deployment) => string
}

const jsonLine = (message: StreamMessage) => `${JSON.stringify(message)}\n`
const serverSent = (message: StreamMessage) => `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`

/** The forms of a log, by media type; the first is for readers that do not care. */
export const forms = {
  'text/event-stream': {
    start: () => 'retry: 1000\n\n',
    event: (event) => `id: ${event.seq}\n${serverSent(event)}`,
    heartbeat: () => ': still here\n\n',
    close: serverSent,
  },
  'application/x-ndjson': { start: () => '', event: jsonLine, heartbeat: () => '\n', close: jsonLine },
  'text/plain': {
    start: ({ id, app, createdAt }) => renderLine(`deployment ${id} of ${app}`, createdAt, createdAt),
    event: (event, { createdAt }) => renderEvent(event, createdAt),
    heartbeat: (state, { createdAt }) => renderLine(`   still ${state}`, new Date().toISOString(), createdAt),
    close: (message, deployment) =>
      message.type === 'end'
        ? renderVerdict(deployment)
        : `\n${message.detail} Read on at ${fill(routes.events, { id: deployment.id })}\n`,
  },
} satisfies Record<string, Form>
export type LogType = keyof typeof forms

export const stoppingMessage = {
  type: 'stopping',
  detail: 'The gateway is stopping; the deployment goes on when it is back. Come back in a moment.',
} satisfies ClosingMessage

export const tooSlowMessage = {
  type: 'too-slow',
  detail:
    'You took nothing of the log for too long. Come back when you can, with the number of the last event you have.',
} satisfies ClosingMessage

/** Sends a deployment's log from `after` on until its end, as fast as the reader takes it. */
export async function sendLog(
  response: ServerResponse,
  parts: Pick<HttpParts, 'store' | 'stopping' | 'heartbeatMs' | 'stuckMs' | 'log'>,
  deployment: Deployment,
  { after, type, filter }: { after: number; type: LogType; filter: LogFilter | null },
): Promise<void> {
  const { store, stopping, heartbeatMs = defaultHeartbeatMs, stuckMs = defaultStuckMs, log } = parts
  const form: Form = forms[type]
  const gone = new AbortController()
  const leave = () => gone.abort()
  response.once('close', leave)
  stopping.addEventListener('abort', leave)
  let { state } = deployment
  let quiet = true
  let tooSlow = false
  const write = async (bytes: string | Buffer) => {
    quiet = false
    if (!response.write(bytes)) await once(response, 'drain', { signal: gone.signal })
  }
  const beat = setInterval(() => {
    if (quiet && !response.writableNeedDrain) response.write(form.heartbeat(state, deployment))
    quiet = true
  }, heartbeatMs)
  response.setTimeout(stuckMs, () => {
    if (!response.writableNeedDrain) return
    if (tooSlow) return void response.destroy()
    tooSlow = true
    log.warn({ deploymentId: deployment.id, stuckMs, waitingBytes: response.writableLength }, 'log reader is too slow')
    leave()
  })

  response.setHeader('Content-Type', `${type}; charset=utf-8`)
  response.setHeader('Cache-Control', 'no-store')
  response.flushHeaders()
  try {
    if (stopping.aborted || response.destroyed) leave()
    const start = after === 0 && form.start(deployment)
    if (start) await write(start)
    for await (const page of followPages(store, deployment.id, after, gone.signal)) {
      for (const event of page) if (event.type === 'state') state = event.state
      const bytes = rendered(page, type, deployment, filter)
      if (bytes.length > 0) await write(bytes)
    }
  } catch (error) {
    if (!gone.signal.aborted) throw error
  } finally {
    clearInterval(beat)
    stopping.removeEventListener('abort', leave)
  }
  if (!gone.signal.aborted) {
    const last = (await store.find(deployment.id)) ?? deployment
    response.end(form.close({ type: 'end', state: last.state }, last))
  } else response.end(form.close(tooSlow ? tooSlowMessage : stoppingMessage, deployment))
}

const renderings = new WeakMap<Page, Map<string, Buffer>>()

/** A page as bytes, made once for all who get it. */
export function rendered(page: Page, type: LogType, deployment: Deployment, filter: LogFilter | null): Buffer {
  const known = renderings.get(page) ?? new Map<string, Buffer>()
  renderings.set(page, known)
  const key = `${type} ${filter?.key}`
  const form: Form = forms[type]
  const shown = () => (filter ? page.filter(filter.keeps) : page).map((event) => form.event(event, deployment)).join('')
  const bytes = known.get(key) ?? Buffer.from(shown())
  known.set(key, bytes)
  return bytes
}

/** Fires when the line is closed, by whichever side. */
export function whileOpen(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort()
  response.once('close', () => gone.abort())
  return gone.signal
}
