import type { IncomingMessage, ServerResponse } from 'node:http'
import { Problem } from '#api/problem.ts'
import type { Authenticator } from '../callers/authenticate.ts'
import { operator, type Principal } from '../callers/principal.ts'
import { isLoopbackHost } from './loopback-host.ts'
import { SlowGuesses } from './slow-guesses.ts'

/** Rejects if a request is not authorized. After it, `callerOf` knows the caller. */
export type Authorize = (request: IncomingMessage) => Promise<void>

const callers = new WeakMap<IncomingMessage, Principal>()

/** The caller of a request that was authorized. */
export function callerOf(request: IncomingMessage): Principal {
  const caller = callers.get(request)
  if (!caller) throw new Error('The request was not authorized.')
  return caller
}

/** Fires when the proof of a request's caller stops being valid. Null: it never does. */
export const rightEndsOf = (request: IncomingMessage): AbortSignal | null =>
  callerOf(request).proof?.ended() ?? null

/** Cuts a long answer when the proof of its caller stops being valid. */
export function cutWithRight(request: IncomingMessage, response: ServerResponse): void {
  const ended = rightEndsOf(request)
  const cut = () => response.destroy()
  ended?.addEventListener('abort', cut, { once: true })
  response.once('close', () => ended?.removeEventListener('abort', cut))
}

/**
 * Rejects a request that proves no caller. A missing and a wrong token get the same answer. Null: the
 * gateway has no tokens, and serves loopback alone.
 */
export function authorizer(
  authenticate: Authenticator | null,
  guesses = new SlowGuesses(),
): Authorize {
  return async (request) => {
    assertOwnPage(request, authenticate === null)
    callers.set(request, await callerOrProblem(request, authenticate, guesses))
  }
}

function assertOwnPage({ headers, headersDistinct }: IncomingMessage, isOpen: boolean): void {
  const hosts = headersDistinct['host'] ?? []
  if (hosts.length > 1)
    throw new Problem('request-invalid', 'The request names two hosts; send one Host header.')
  // If the request line has an absolute URL, `checkForm` puts its host in `headers` only.
  if (isOpen) for (const host of [...hosts, headers.host]) refuseOtherHost(host)

  // Without tokens the gateway serves loopback. Any web page open on this machine can reach that
  // too.
  if (
    headers.origin !== undefined &&
    URL.parse(headers.origin)?.host !== headers.host?.toLowerCase()
  )
    throw new Problem('unauthorized', 'The gateway accepts no calls from other web pages.')
}

async function callerOrProblem(
  { headers, socket }: IncomingMessage,
  authenticate: Authenticator | null,
  guesses: SlowGuesses,
): Promise<Principal> {
  const address = socket.remoteAddress ?? ''
  if (!authenticate) return { ...operator, isOpen: true, address }
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null
  const caller = await authenticate({ bearer, headers, address })
  if (caller) return caller
  if (bearer !== null) await guesses.delay(address)
  throw new Problem('unauthorized', 'Send a token of the gateway: Authorization: Bearer <token>.')
}

/** Refuses DNS rebinding: a page whose name resolves to loopback still sends that name as host. */
function refuseOtherHost(host: string | undefined): void {
  if (isLoopbackHost(host)) return
  const problemText =
    host === undefined
      ? 'The request names no host'
      : `The request is for the host ${host.slice(0, 100)}`
  throw new Problem(
    'host-forbidden',
    `${problemText}. Without tokens the gateway answers only to localhost, 127.0.0.1 and [::1]. Use one of these, or set TARMAC_TOKENS.`,
  )
}
