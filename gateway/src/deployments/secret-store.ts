import type { SecretFacts } from '#api/secret.ts'

/**
 * The owner of a secret: an app; one deployment, whose secrets are erased when it ends; or a login at
 * a registry, whose password it is.
 */
export type SecretOwner = `app:${string}` | `deployment:${string}` | `registry:${string}`

/** An encrypted secret. `keyId` names the key that decrypts it. */
export type SealedSecret = { name: string; keyId: string; sealed: Uint8Array }

/** Stores secrets but cannot decrypt them. Every method is atomic. */
export interface SecretStore {
  /** Adds a secret, or replaces the one of that name. */
  putSecret(owner: SecretOwner, secret: SealedSecret): Promise<SecretFacts>
  /** False: there is none of that name. */
  removeSecret(owner: SecretOwner, name: string): Promise<boolean>
  /** Adds, replaces and removes several at once. Returns the names that were there to remove. */
  changeSecrets(owner: SecretOwner, put: SealedSecret[], remove: string[]): Promise<string[]>
  /** Sorted by name. */
  secretsOf(owner: SecretOwner): Promise<(SealedSecret & SecretFacts)[]>
}
