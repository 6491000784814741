import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'

/** Who may pass: throws when a request brings none of the tokens. A missing and a wrong token get the same answer. */
export function authorizer(tokens: readonly string[]): (request: IncomingMessage) => void {
  const known = tokens.map(digest)
  return ({ headers, headersDistinct }) => {
    if ((headersDistinct['host']?.length ?? 0) > 1)
      throw new Problem('request-invalid', 'The request names two hosts; send one Host header.')
    // Without tokens the gateway serves loopback, which any web page open on this machine can reach too.
    if (headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host)
      throw new Problem('unauthorized', 'This gateway takes no calls from other web pages.')
    if (known.length === 0) return
    const given = digest(/^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '')
    // Every token is compared, whatever the others gave: time tells nothing.
    if (known.filter((token) => timingSafeEqual(token, given)).length === 0)
      throw new Problem('unauthorized', 'Send a token of this gateway: Authorization: Bearer <token>.')
  }
}

const digest = (token: string) => createHash('sha256').update(token).digest()
