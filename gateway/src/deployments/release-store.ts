import type { Release } from '#api/release.ts'

/** A release as it is kept: the deploy engine's own notes of what the app should be, instead of what is shown of them. */
export type StoredRelease = Omit<Release, 'env' | 'config'> & { desired: unknown }

/** What the deployment that goes live says of the release that it becomes. */
export type NewRelease = Pick<StoredRelease, 'desired' | 'secrets'>

/** So many of each target are kept. */
export const keptReleases = 200

/** Releases by target. They are made by `advance`, in the transaction in which their deployment goes live. */
export interface ReleaseStore {
  /** The newest one where no number is given. */
  find(app: string, owner: string | null, number?: number): Promise<StoredRelease | null>
  /** Newest first. `before` is a cursor of an earlier page. */
  list(
    app: string,
    owner: string | null,
    page: { limit: number; before: string | null },
  ): Promise<{ releases: StoredRelease[]; next: string | null }>
  /** The newest release of each owner of an app, the app's own among them. */
  newest(app: string): Promise<StoredRelease[]>

  /** Writes down that this gateway made the app, and Fly's own id of it: an app made later under the name is another. */
  recordCreatedApp(app: string, flyId: string | null): Promise<void>
  /** An id that is not known counts as the same. */
  isOwnApp(app: string, flyId: string | null): Promise<boolean>
  /** The app is gone, with all its releases, settings and secrets. */
  forget(app: string): Promise<void>
}
