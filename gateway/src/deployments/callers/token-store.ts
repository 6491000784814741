import type { TokenFacts } from '#api/callers/token.ts'

/** A token as stored: everything but its secret. Times are ISO 8601, UTC. */
export type StoredToken = Omit<TokenFacts, 'state' | 'oldSecretUntil'> & {
  /** Grows with each token. */
  seq: number
  /** The id of the token that made it. Null: its maker had none. */
  createdByToken: string | null
  /** SHA-256 of the secret. */
  hash: Uint8Array
  oldHash: Uint8Array | null
  oldUntil: string | null
}

export type NewStoredToken = Omit<
  StoredToken,
  'seq' | 'oldHash' | 'oldUntil' | 'rotatedAt' | 'revokedAt' | 'lastUsedAt' | 'deployment'
>

/** Stores tokens. Every method is atomic. A deploy link is used in `DeploymentStore.create`. */
export interface TokenStore {
  /** All tokens, oldest first. Damaged records are left out: nobody can use them. */
  all(): Promise<StoredToken[]>
  add(token: NewStoredToken): Promise<StoredToken>
  revoke(ids: readonly string[], at: string): Promise<void>
  rotate(
    id: string,
    change: Pick<StoredToken, 'hash' | 'oldHash' | 'oldUntil' | 'rotatedAt' | 'expiresAt'>,
  ): Promise<void>
  noteUses(uses: readonly { id: string; at: string }[]): Promise<void>
  remove(ids: readonly string[]): Promise<void>
}
