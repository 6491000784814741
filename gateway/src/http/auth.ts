import type { IncomingMessage, ServerResponse } from 'node:http'
import { Problem } from '#api/problem.ts'
import type { Authenticator } from '../callers/authenticate.ts'
import { operator, type Principal } from '../callers/principal.ts'
import { isLoopbackHost } from './loopback-host.ts'
import type { ServerDeps } from './deps.ts'
import { sessionCookieOf } from './dashboard/session/cookie.ts'
import { SlowGuesses } from './slow-guesses.ts'

/** Rejects if a request is not authorized. After it, `callerOf` knows the caller. */
export type Authorize = (request: IncomingMessage) => Promise<void>

const callers = new WeakMap<IncomingMessage, Principal>()

/** The caller of a request. Null: it was not authorized. */
export const knownCallerOf = (request: IncomingMessage): Principal | null =>
  callers.get(request) ?? null

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

/** Finds the caller that a request with this token has. Throws if it proves none. */
export type Prove = (request: IncomingMessage, token: string | null) => Promise<Principal>

/**
 * Finds callers, and slows the refusals of wrong tokens. A missing and a wrong token get the same
 * answer. `authenticate` null: the gateway has no tokens, and serves loopback alone. `sourceOf`: see
 * `ServerDeps`. Guesses count for that address, so that callers behind one proxy have a count each.
 */
export function prover(
  authenticate: Authenticator | null,
  sourceOf: NonNullable<ServerDeps['sourceOf']> = (_headers, peer) => peer,
): Prove {
  const guesses = new SlowGuesses()
  return async (request, token) => {
    assertOwnPage(request, authenticate === null)
    const { headers, socket } = request
    const address = socket.remoteAddress ?? ''
    if (!authenticate) return { ...operator, isOpen: true, address }
    const caller = await authenticate({ bearer: token, headers, address })
    if (caller) return caller.address === address ? withSource(caller, request, sourceOf) : caller
    if (token !== null) await guesses.delay(sourceOf(headers, address))
    throw new Problem('unauthorized', 'Send a token of the gateway: Authorization: Bearer <token>.')
  }
}

/** A caller behind a trusted proxy is at its own address, not at the proxy's. */
const withSource = (
  caller: Principal,
  { headers, socket }: IncomingMessage,
  sourceOf: NonNullable<ServerDeps['sourceOf']>,
): Principal => ({ ...caller, address: sourceOf(headers, socket.remoteAddress ?? '') })

/**
 * Rejects a request that proves no caller. Where the dashboard's session counts, it stands for the
 * token that its caller logged in with.
 */
export function authorizer(prove: Prove, sessionOf: ServerDeps['sessionOf'] | null): Authorize {
  return async (request) => {
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null
    const cookie = bearer === null && sessionOf ? sessionCookieOf(request) : null
    const session = cookie === null ? null : ((await sessionOf?.(cookie)) ?? null)
    try {
      const caller = await prove(request, bearer ?? session?.token ?? null)
      callers.set(request, session ? bothHold(caller, session.proof) : caller)
    } catch (error) {
      const isUnknown = error instanceof Problem && error.code === 'unauthorized'
      throw isUnknown && cookie !== null ? sessionEnded() : error
    }
  }
}

const sessionEnded = () => new Problem('session-ended', 'The session has ended. Log in again.')

/** A caller whose session and whose token must both still be valid. */
const bothHold = (caller: Principal, session: NonNullable<Principal['proof']>): Principal => ({
  ...caller,
  proof: {
    assertHolds() {
      session.assertHolds()
      caller.proof?.assertHolds()
    },
    ended: () =>
      AbortSignal.any([session.ended(), ...(caller.proof ? [caller.proof.ended()] : [])]),
  },
})

function assertOwnPage({ headers, headersDistinct }: IncomingMessage, isOpen: boolean): void {
  // If the request line has an absolute URL, `checkForm` puts its host in `headers` only.
  if (isOpen)
    for (const host of [...(headersDistinct['host'] ?? []), headers.host]) refuseOtherHost(host)

  // Without tokens the gateway serves loopback. Any web page open on this machine can reach that
  // too.
  if (
    headers.origin !== undefined &&
    URL.parse(headers.origin)?.host !== headers.host?.toLowerCase()
  )
    throw new Problem('unauthorized', 'The gateway accepts no calls from other web pages.')
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
