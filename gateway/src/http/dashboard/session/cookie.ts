import type { IncomingMessage } from 'node:http'
import type { Commands } from '../../../commands/commands.ts'
import { isForEvents, isForFile } from '../../log/log-address.ts'

/** `__Host-` holds a browser to what we ask for: only by TLS, only for this host. */
const names = { secure: '__Host-tarmac-session', plain: 'tarmac-session' }
type OpenedSession = Awaited<ReturnType<Commands['sessions']['open']>>

const cookiePattern = /^[\w-]{43}$/

/**
 * Whether the browser's own connection is by TLS. The gateway itself speaks plain HTTP, so a proxy
 * says it. Any sender is believed: who sends it without TLS harms only the own login.
 */
export const cameByTls = ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
  headers['x-forwarded-proto'] === 'https'

/**
 * The session of a request, where a session counts: on pages of the dashboard, and to read a log or a source. For
 * every other call of the API a token is needed, so no page of another origin can make one.
 */
export function sessionCookieOf(request: IncomingMessage): string | null {
  if (!isForPages(request) && !isForEvents(request) && !isForFile(request)) return null
  const name = cameByTls(request) ? names.secure : names.plain
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name && cookiePattern.test(value ?? '')) return value!
  }
  return null
}

/** The `Set-Cookie` of a session. Null: the browser forgets it. */
export function setSession(
  request: Pick<IncomingMessage, 'headers'>,
  session: OpenedSession | null,
): string {
  const isSecure = cameByTls(request)
  const name = isSecure ? names.secure : names.plain
  const flags = `Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`
  const seconds = session ? Math.floor((Date.parse(session.expiresAt) - Date.now()) / 1000) : 0
  return `${name}=${session?.cookie ?? ''}; Max-Age=${seconds}; ${flags}`
}

const isForPages = ({ url = '' }: IncomingMessage) => /^\/ui(?:[/?]|$)/.test(url)
