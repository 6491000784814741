import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import type { ClosingMessage, StreamMessage } from '#api/event-stream.ts'
import { renderEvent, renderLine, renderVerdict } from '#api/render-event.ts'
import { fill, routes } from '#api/routes.ts'
import { follow } from '../deployments/follow.ts'
import type { HttpParts } from './http-app.ts'

export const defaultHeartbeatMs = 15_000

/** How a log looks on the line: its parts in the order in which they go out. */
type Form = (deployment: Deployment) => {
  start: string
  event: (event: DeploymentEvent) => string
  heartbeat: () => string
  end: (deployment: Deployment) => string
  stopping: () => string
}

/** The forms of a log, by media type; the first is for readers that do not care. */
export const forms = {
  'text/event-stream': () => ({
    start: 'retry: 1000\n\n',
    event: (event) => `id: ${event.seq}\n${serverSent(event)}`,
    heartbeat: () => ': still here\n\n',
    end: ({ state }) => serverSent({ type: 'end', state }),
    stopping: () => serverSent(stoppingMessage),
  }),
  'application/x-ndjson': () => ({
    start: '',
    event: jsonLine,
    heartbeat: () => '\n',
    end: ({ state }) => jsonLine({ type: 'end', state }),
    stopping: () => jsonLine(stoppingMessage),
  }),
  'text/plain': ({ id, app, createdAt, state }) => {
    let last: string = state
    return {
      start: renderLine(`deployment ${id} of ${app}`, createdAt, createdAt),
      event: (event) => {
        if (event.type === 'state') last = event.state
        return renderEvent(event, createdAt)
      },
      heartbeat: () => renderLine(`   still ${last}`, new Date().toISOString(), createdAt),
      end: renderVerdict,
      stopping: () => `\n${stoppingMessage.detail} Read on at ${fill(routes.events, { id })}\n`,
    }
  },
} satisfies Record<string, Form>
export type LogType = keyof typeof forms

const jsonLine = (message: StreamMessage) => `${JSON.stringify(message)}\n`
const serverSent = (message: StreamMessage) => `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`

export const stoppingMessage = {
  type: 'stopping',
  detail: 'The gateway is stopping; the deployment goes on when it is back. Come back in a moment.',
} satisfies ClosingMessage

/** Sends a deployment's log from `after` on until its end, as fast as the reader takes it. */
export async function sendLog(
  response: ServerResponse,
  { store, stopping, heartbeatMs = defaultHeartbeatMs }: Pick<HttpParts, 'store' | 'stopping' | 'heartbeatMs'>,
  deployment: Deployment,
  after: number,
  type: LogType,
): Promise<void> {
  const form: ReturnType<Form> = forms[type](deployment)
  const signal = AbortSignal.any([whileOpen(response), stopping])
  let quiet = true
  const write = async (text: string) => {
    quiet = false
    if (!response.write(text)) await once(response, 'drain', { signal })
  }
  const beat = setInterval(() => {
    if (quiet && !response.writableNeedDrain) response.write(form.heartbeat())
    quiet = true
  }, heartbeatMs)

  response.setHeader('Content-Type', `${type}; charset=utf-8`)
  response.setHeader('Cache-Control', 'no-store')
  response.flushHeaders()
  try {
    if (form.start && after === 0) await write(form.start)
    for await (const event of follow(store, deployment.id, after, signal)) await write(form.event(event))
    response.end(signal.aborted ? form.stopping() : form.end((await store.find(deployment.id)) ?? deployment))
  } catch (error) {
    if (!signal.aborted) throw error
    response.end(form.stopping())
  } finally {
    clearInterval(beat)
  }
}

/** Fires when the line is closed, by whichever side. */
export function whileOpen(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort()
  response.once('close', () => gone.abort())
  return gone.signal
}
