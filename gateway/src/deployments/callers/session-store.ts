/** A login of the dashboard as stored. Times are ISO 8601, UTC. */
export type StoredSession = {
  /** SHA-256 of the cookie. */
  hash: Uint8Array
  /** The name of the caller. */
  caller: string
  /** The token that the caller logged in with, sealed by a key that only the cookie gives. */
  token: Uint8Array
  expiresAt: string
}

/** Stores sessions. Every method is atomic. */
export interface SessionStore {
  /** Also removes sessions that have expired, and the oldest of a caller that has too many. */
  add(session: StoredSession): Promise<void>
  /** Null: there is none, or it has expired. */
  find(hash: Uint8Array): Promise<StoredSession | null>
  remove(hash: Uint8Array): Promise<void>
  /** Removes all sessions of a caller. Returns their hashes. */
  removeAll(caller: string): Promise<Uint8Array[]>
}

/** A caller with more keeps the newest. */
export const maxSessionsOfCaller = 50
