import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asProblem, Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { renderRefusal } from '#api/text/render-verdict.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Logger } from '../log.ts'

const retryAfterSeconds = 5
const drainMs = 3000

/**
 * Answers with a Problem as RFC 9457 (`application/problem+json`). If the caller is still
 * uploading, discards its bytes for up to `drainMs` before closing, so that the caller reads the
 * answer instead of a broken connection.
 */
export async function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: Logger,
): Promise<void> {
  try {
    await send(request, response, error, log)
  } catch (err) {
    log.error({ err }, 'problem could not be sent') // callers do not await this function
    response.destroy()
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  log: Logger,
): Promise<void> {
  const problem = foreseen(error)
  const requestId = response.getHeader('X-Request-Id')
  if (problem.code === 'internal')
    log.error({ requestId, err: problem.cause ?? problem }, 'request failed')
  if (response.headersSent || response.destroyed) return void response.destroy()

  const facts = { ...problem.body(), ...(requestId !== undefined && { requestId }) }
  const isText = wantsText(request)
  const body = isText ? renderRefusal(facts) : `${visibleJson(facts)}\n`
  response.setHeader(
    'Content-Type',
    isText ? 'text/plain; charset=utf-8' : 'application/problem+json',
  )
  response.setHeader('Vary', 'Accept')
  response.setHeader('Content-Length', Buffer.byteLength(body))
  response.setHeader('Cache-Control', 'no-store')
  if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer')
  if (problem.status === 426)
    response.setHeader('Upgrade', 'websocket').setHeader('Sec-WebSocket-Version', '13')
  const retryAfter = retryAfterOf(problem)
  if (retryAfter !== null) response.setHeader('Retry-After', retryAfter)
  const uploading =
    !request.complete &&
    (request.headers['transfer-encoding'] ?? request.headers['content-length']) !== undefined
  if (uploading) response.setHeader('Connection', 'close')
  response.writeHead(problem.status)
  response.write(body)
  if (uploading) {
    request.unpipe()
    request.removeAllListeners('data') // a reader of the body would stop it again
    request.resume()
    await once(request, 'close', { signal: AbortSignal.timeout(drainMs) }).catch(() => {})
  }
  response.end()
}

/** The `Retry-After` of an answer, in seconds. Null: it has none. */
export function retryAfterOf({ status, facts }: Problem): number | null {
  if (status !== 429 && status !== 503 && status !== 507) return null
  return Number(facts['retryAfterSeconds'] ?? retryAfterSeconds)
}

/**
 * `PUT /deploy/{app}` answers people at a shell with text. Programs ask for JSON by `Accept`, or for
 * the record instead of the log.
 */
const wantsText = ({ url = '', headers: { accept = '' } }: IncomingMessage): boolean =>
  url.startsWith(fill(routes.deploy, { app: '' })) &&
  !/[?&]follow=(?:false|0)(?:&|$)/.test(url) &&
  !accept.toLowerCase().includes('json')

/** Turns a 400 from Express into `request-invalid`, and any other error into its Problem. */
export function foreseen(error: unknown): Problem {
  const isOurs = error instanceof Problem || !(error instanceof Error)
  const unreadable = !isOurs && 'status' in error && error.status === 400
  return unreadable
    ? new Problem('request-invalid', `${error.message}.`, { cause: error })
    : asProblem(error)
}
