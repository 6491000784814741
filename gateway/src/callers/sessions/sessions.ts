import { createHash, randomBytes } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { SessionStore } from '../../deployments/callers/session-store.ts'
import type { Principal, Proof } from '../principal.ts'
import { openToken, sealToken } from './sealed-token.ts'

export const sessionMs = 12 * 3_600_000
/** Of a cookie. Base64url makes 43 characters of it. */
const cookieBytes = 32

type OpenedSession = { cookie: string; expiresAt: string }
/** The token that a session was opened with, and whether the session still exists. */
export type FoundSession = { token: string; proof: Proof }

type Deps = { store: SessionStore; now?: () => number }

/**
 * Logins of the dashboard. A session is the token that its caller logged in with, held for a browser
 * by a cookie. Each request is judged by that token as if it had been sent, so a session may do no
 * more than its token, and ends with it. The store has the cookie as a hash alone.
 */
export class Sessions {
  readonly #store: SessionStore
  readonly #now: () => number
  /** Ends the streams of a session, by its hash in hex. Only of sessions with a stream. */
  readonly #streams = new Map<string, AbortController>()

  constructor({ store, now = Date.now }: Deps) {
    this.#store = store
    this.#now = now
  }

  async open({ name: caller }: Principal, token: string): Promise<OpenedSession> {
    const cookie = randomBytes(cookieBytes).toString('base64url')
    const expiresAt = new Date(this.#now() + sessionMs).toISOString()
    const sealed = sealToken(cookie, token)
    await this.#store.add({ hash: hashOf(cookie), caller, token: sealed, expiresAt })
    return { cookie, expiresAt }
  }

  /** Null: there is no such session, or it has ended. */
  async find(cookie: string): Promise<FoundSession | null> {
    const hash = hashOf(cookie)
    const stored = await this.#store.find(hash)
    const token = stored && openToken(cookie, stored.token)
    if (!token) return null
    const endsMs = Date.parse(stored.expiresAt)
    const stream = () => this.#streamOf(hash, endsMs)
    const assertHolds = () => {
      if (endsMs <= this.#now()) throw sessionEnded()
    }
    return { token, proof: { assertHolds, ended: () => stream().signal } }
  }

  async end(_caller: Principal, cookie: string): Promise<void> {
    const hash = hashOf(cookie)
    await this.#store.remove(hash)
    this.#endStreams(hash)
  }

  /** Ends all sessions of a caller. */
  async endAll({ name }: Principal): Promise<void> {
    for (const hash of await this.#store.removeAll(name)) this.#endStreams(hash)
  }

  #streamOf(hash: Uint8Array, endsMs: number): AbortController {
    const key = keyOf(hash)
    const known = this.#streams.get(key)
    if (known) return known
    const ending = new AbortController()
    this.#streams.set(key, ending)
    setTimeout(() => this.#endStreams(hash), Math.max(0, endsMs - this.#now())).unref()
    return ending
  }

  #endStreams(hash: Uint8Array): void {
    this.#streams.get(keyOf(hash))?.abort()
    this.#streams.delete(keyOf(hash))
  }
}

export const sessionEnded = () =>
  new Problem('session-ended', 'The session has ended. Log in again.')

const hashOf = (cookie: string): Uint8Array => createHash('sha256').update(cookie).digest()
const keyOf = (hash: Uint8Array): string => Buffer.from(hash).toString('hex')
