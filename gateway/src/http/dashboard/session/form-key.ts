import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../../callers/principal.ts'
import { sessionCookieOf } from './cookie.ts'

/** For callers without a session, whom a proxy names or who call a gateway without tokens. */
const ownSecret = randomBytes(32)

/** The secret of a session's forms: no page of another origin can read it. */
export function formKeyOf(request: IncomingMessage, { name }: Principal): string {
  const secret = sessionCookieOf(request) ?? ownSecret
  return createHmac('sha256', secret).update(`form of ${name}`).digest('base64url')
}

/** Throws `form-stale` unless a form of this session sent the request. */
export function assertOwnForm(
  request: IncomingMessage,
  caller: Principal,
  sent: string | null,
): void {
  assertOwnOrigin(request)
  const wanted = Buffer.from(formKeyOf(request, caller))
  const found = Buffer.from(sent ?? '')
  if (wanted.length !== found.length || !timingSafeEqual(wanted, found))
    throw stale('The form is of another session. Open its page again, and send it from there.')
}

/**
 * Throws for a form of another page. A browser sends `Origin` with each form, and `Sec-Fetch-Site`
 * where it trusts the connection. `authorize` has compared the origin with the host.
 */
export function assertOwnOrigin({ headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'] ?? 'same-origin'
  if (headers.origin === undefined || site !== 'same-origin')
    throw stale('The form was not sent by a page of this gateway. Programs use the API.')
}

const stale = (detail: string) => new Problem('form-stale', detail)
