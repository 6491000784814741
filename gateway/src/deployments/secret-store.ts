import type { SecretFacts } from '#api/secret.ts'

/** Whose a secret is: an app's, until it is taken away, or one deployment's, until that ends. */
export type SecretOwner = `app:${string}` | `deployment:${string}`

/** A secret under lock; `keyId` names the key that opens it. */
export type SealedSecret = { name: string; keyId: string; sealed: Uint8Array }

/** Keeps secrets and can open none. Every method happens whole or not at all. */
export interface SecretStore {
  /** New, or in place of the one of that name. */
  putSecret(owner: SecretOwner, secret: SealedSecret): Promise<SecretFacts>
  /** False when there is none of that name. */
  removeSecret(owner: SecretOwner, name: string): Promise<boolean>
  /** In order of name. */
  secretsOf(owner: SecretOwner): Promise<(SealedSecret & SecretFacts)[]>
}
