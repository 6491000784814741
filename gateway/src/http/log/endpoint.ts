import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { type Authorize, callerOf, rightEndsOf } from '../auth.ts'
import { assertOneHost } from '../body/request-form.ts'
import { afterOf } from '../routes/read-deployments.ts'
import { refuseTokenInAddress } from '../token-in-address.ts'
import { isWebSocket } from '../upgrades.ts'
import { filterOf, type LogFilter } from './filter.ts'
import { type LogType, logTypes } from './formats.ts'
import { logIdsOf } from './log-address.ts'
import type { ReleasedAnswers } from './released.ts'
import type { LogDeps } from './session.ts'
import { sendLog } from './stream.ts'

/**
 * `GET /v1/deployments/{id}/events`: the log from `after` on, in the format that `Accept` names. The same
 * at `/v1/previews/{id}/events`, for the deployment that starts the preview.
 * Does not use Express, which would keep its request data for as long as the reader stays.
 */
export function eventsReader(
  deps: LogDeps,
  openReader: OpenReader,
  answers: ReleasedAnswers,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const { deployment, after, filter, rightEnds } = await openReader(request)
    const { id, app, createdAt, state } = deployment
    const query = { after, filter, type: typeOf(request), rightEnds }
    const about = { id, app, createdAt, state }
    sendLog(response, deps, about, { ...query, detach: () => answers.detach(response) })
  }
}

/** Authorizes a reader, finds the log, and reads which part of it the request asks for. */
export type OpenReader = (request: IncomingMessage) => Promise<{
  deployment: Deployment
  after: number
  filter: LogFilter
  rightEnds: AbortSignal | null
}>

export function readerGate(
  { logOf, previews }: Pick<Commands, 'logOf' | 'previews'>,
  authorize: Authorize,
): OpenReader {
  return async (request) => {
    // A handshake comes here first.
    assertOneHost(request)
    refuseTokenInAddress(request)
    await authorize(request)
    const { preview, deployment: named } = logIdsOf(request)
    const id =
      preview === undefined ? named : (await previews.find(callerOf(request), preview)).deployment
    if (id === undefined) throw new Problem('route-not-found', 'There is no log at this address.')
    const deployment = await logOf(callerOf(request), id)
    const after = afterOf(request)
    const filter = filterOf(request, { after })
    if (isWebSocket(request)) assertHandshake(request)
    return { deployment, after, filter, rightEnds: rightEndsOf(request) }
  }
}

/** Throws `websocket-invalid` for a handshake that RFC 6455 does not allow. */
function assertHandshake({ headers }: IncomingMessage): void {
  if (headers['sec-websocket-version'] !== '13')
    throw new Problem(
      'websocket-invalid',
      'The gateway speaks version 13 of WebSocket: Sec-WebSocket-Version: 13.',
    )
  if (!/^[+/\dA-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    throw new Problem('websocket-invalid', 'Sec-WebSocket-Key is 16 random bytes as base64.')
}

/** The first format, in the order of `formats`, that the request accepts. */
function typeOf({ headers: { accept = '*/*' } }: IncomingMessage): LogType {
  const accepted = accept.split(',').map((each) => each.split(';', 1)[0]!.trim().toLowerCase())
  const type =
    logTypes.find((name) => accepted.includes(name)) ??
    (accepted.some((each) => /^(\*|text)\/\*$/.test(each)) ? logTypes[0] : undefined)
  if (type) return type
  throw new Problem(
    'request-invalid',
    `The log is available as ${logTypes.join(', ')}. Name one of them in Accept.`,
  )
}
