import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'
import { operator, type Principal } from '../commands/principal.ts'
import { isLoopbackHost } from './loopback-host.ts'

/** Throws if a request is not authorized. After it, `callerOf` knows the caller. */
export type Authorize = (request: IncomingMessage) => void

const callers = new WeakMap<IncomingMessage, Principal>()

/** The caller of a request that was authorized. */
export function callerOf(request: IncomingMessage): Principal {
  const caller = callers.get(request)
  if (!caller) throw new Error('The request was not authorized.')
  return caller
}

/** Throws if a request has none of the tokens. A missing and a wrong token get the same answer. */
export function authorizer(tokens: readonly string[]): Authorize {
  const known = tokens.map(digest)
  return (request) => {
    assertToken(request, known)
    callers.set(request, operator)
  }
}

function assertToken({ headers, headersDistinct }: IncomingMessage, known: Buffer[]): void {
  const hosts = headersDistinct['host'] ?? []
  if (hosts.length > 1)
    throw new Problem('request-invalid', 'The request names two hosts; send one Host header.')
  // If the request line has an absolute URL, `checkForm` puts its host in `headers` only.
  if (known.length === 0) for (const host of [...hosts, headers.host]) refuseOtherHost(host)

  // Without tokens the gateway serves loopback. Any web page open on this machine can reach that
  // too.
  if (
    headers.origin !== undefined &&
    URL.parse(headers.origin)?.host !== headers.host?.toLowerCase()
  )
    throw new Problem('unauthorized', 'The gateway accepts no calls from other web pages.')

  if (known.length === 0) return
  const sent = digest(/^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '')
  // Compare every token, also after a match, so that the time reveals nothing.
  if (known.filter((token) => timingSafeEqual(token, sent)).length === 0)
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

const digest = (token: string) => createHash('sha256').update(token).digest()
