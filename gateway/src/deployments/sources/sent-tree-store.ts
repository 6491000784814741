/** A tree that came without a deployment is kept this long for one. */
export const keptForMs = 60 * 60_000

/** Which trees each app has sent, by any door. No app learns what another one has sent. */
export interface SentTreeStore {
  /** The app has sent this tree now. A deployment's source is added with its record. */
  add(app: string, digest: string): void
  /** Whether the app has sent this tree, and it is kept for the app. */
  has(app: string, digest: string): boolean
  /** The digests of the trees that the app has sent, newest first, at most `limit`. */
  newest(app: string, limit: number): string[]
  /** Another app of this name has sent nothing. */
  forget(app: string): void
}
