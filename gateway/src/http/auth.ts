import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'
import { isLoopbackHost } from './loopback-host.ts'

/** Throws when a request may not pass. */
export type Authorize = (request: IncomingMessage) => void

/** Who may pass: throws when a request brings none of the tokens. A missing and a wrong token get the same answer. */
export function authorizer(tokens: readonly string[]): Authorize {
  const known = tokens.map(digest)
  return ({ headers, headersDistinct }) => {
    const hosts = headersDistinct['host'] ?? []
    if (hosts.length > 1)
      throw new Problem('request-invalid', 'The request names two hosts; send one Host header.')
    // The host of an address that was given whole is in `headers` alone.
    if (known.length === 0) for (const host of [...hosts, headers.host]) refuseOtherHost(host)
    // Without tokens the gateway serves loopback, which any web page open on this machine can reach too.
    if (
      headers.origin !== undefined &&
      URL.parse(headers.origin)?.host !== headers.host?.toLowerCase()
    )
      throw new Problem('unauthorized', 'This gateway takes no calls from other web pages.')
    if (known.length === 0) return
    const given = digest(/^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '')
    // Every token is compared, whatever the others gave: time tells nothing.
    if (known.filter((token) => timingSafeEqual(token, given)).length === 0)
      throw new Problem(
        'unauthorized',
        'Send a token of this gateway: Authorization: Bearer <token>.',
      )
  }
}

/** A page whose name was pointed at loopback after it was loaded (DNS rebinding) still says its own name here. */
function refuseOtherHost(host: string | undefined): void {
  if (isLoopbackHost(host)) return
  const asked =
    host === undefined
      ? 'The request names no host'
      : `The request is for the host ${host.slice(0, 100)}`
  throw new Problem(
    'host-forbidden',
    `${asked}. Without tokens this gateway answers only to localhost, 127.0.0.1 and [::1]. Ask it by one of these, or set TARMAC_TOKENS.`,
  )
}

const digest = (token: string) => createHash('sha256').update(token).digest()
