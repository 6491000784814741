import type { IncomingMessage } from 'node:http'
import { tokenPattern } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import { queryOf } from './query.ts'

/** Names under which other services accept a token in the query. No option of ours has one of them. */
const names = new Set([
  'access-token',
  'access_token',
  'api-key',
  'api_key',
  'apikey',
  'auth',
  'auth_token',
  'authorization',
  'bearer',
  'jwt',
  'password',
  'private_token',
  'token',
  'x-api-key',
])

/**
 * Throws `token-in-query` for a request with a token in its address. Proxies, shells and browsers
 * keep addresses, so the token is no longer secret. The gateway logs no query.
 */
export function refuseTokenInAddress(request: Pick<IncomingMessage, 'url'>): void {
  const { url = '' } = request
  const isNamed = url.includes('?') && [...queryOf(request).keys()].some(isTokenName)
  if (!isNamed && !tokenPattern.test(url)) return
  throw new Problem(
    'token-in-query',
    'A token belongs in the header: Authorization: Bearer <token>. Addresses end up in logs and histories. If this was a real token, take it as known to others: revoke it, and make a new one.',
  )
}

const isTokenName = (name: string) => names.has(name.toLowerCase())
