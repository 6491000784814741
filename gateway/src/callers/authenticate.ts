import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { operator, type Principal } from './principal.ts'

/** What a request proves its caller with. */
export type Evidence = {
  /** The bearer token of the request. */
  bearer: string | null
  headers: IncomingHttpHeaders
  /** The other end of the connection: an IP address. */
  address: string
}

/** Finds the caller. Null: this evidence proves none. Throws a Problem that helps the caller. */
export type Authenticator = (evidence: Evidence) => Principal | null | Promise<Principal | null>

/** Finds holders of the tokens in `TARMAC_TOKENS`. */
export function operatorTokens(tokens: readonly string[]): Authenticator {
  const known = tokens.map(digest)
  return ({ bearer, address }) => {
    const sent = digest(bearer ?? '')
    // Compare every token, also after a match, so that the time reveals nothing.
    const isKnown = known.filter((token) => timingSafeEqual(token, sent)).length > 0
    return isKnown ? { ...operator, address } : null
  }
}

/** Asks one after the other. */
export const firstOf =
  (authenticators: readonly Authenticator[]): Authenticator =>
  async (evidence) => {
    for (const authenticate of authenticators) {
      const found = await authenticate(evidence)
      if (found) return found
    }
    return null
  }

const digest = (token: string) => createHash('sha256').update(token).digest()
