/** What Tarmac has done to the secrets of an app in Fly's store. Values are in Fly alone. */
export type SecretMark = {
  /** Fly's id of the app: the versions of a later app of the same name begin again. */
  flyId: string | null
  /** Fly's version of the secrets after the last change that is known. Only grows. */
  version: number
  /**
   * By name: the digest that Tarmac has set, null if it has removed the secret, and an empty text
   * while it is not known whether a change has arrived.
   */
  own: Record<string, string | null>
}

/** Remembers Fly's version of each app's secrets, and which of them Tarmac has changed. */
export interface RuntimeSecretStore {
  /** Null: Tarmac has not changed secrets of the app. */
  find(app: string): Promise<SecretMark | null>
  /** Adds to what is known. The higher version counts, and each name of `own` replaces the older one. */
  note(app: string, mark: SecretMark): Promise<void>
  /** Replaces what is known: the app on Fly is another one. */
  reset(app: string, mark: SecretMark): Promise<void>
}
