import type { Crash } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { Release } from '#api/release.ts'

/** A release as stored: the deploy engine's desired state instead of `env` and `config`. */
export type StoredRelease = Omit<Release, 'env' | 'config' | 'state'> & { desired: unknown }

/** What a deployment adds to its release when it goes live. */
export type NewRelease = Pick<StoredRelease, 'desired' | 'secrets'>

/**
 * A page of a list. `before` is the cursor that the page before it returned. `isSeen`: what counts; the
 * rest is as if it did not exist.
 */
export type PageRequest = {
  limit: number
  before: string | null
  isSeen?: ((target: { app: string; owner?: string | null | undefined }) => boolean) | undefined
}

/** The newest release of a target, without its config. */
export type NewestRelease = Pick<
  StoredRelease,
  'app' | 'owner' | 'number' | 'deployment' | 'createdAt' | 'crashes'
>

/** The image that a kept release needs. */
export type ReleaseImage = {
  owner: string | null
  number: number
  reference: string
  digest: string
}

/** How many releases of each target are kept. */
export const keptReleases = 200

/**
 * Releases by target. `advance` creates one in the transaction that moves a deployment to `live`.
 */
export interface ReleaseStore {
  /** The newest one if no number is given. */
  find(app: string, owner: string | null, number?: number): Promise<StoredRelease | null>
  /** Newest first. */
  list(
    app: string,
    owner: string | null,
    page: PageRequest,
  ): Promise<{ releases: StoredRelease[]; next: string | null }>
  /** The newest release of each owner of an app, and of the app itself. */
  newest(app: string): Promise<StoredRelease[]>
  /** The same without their configs, which may be large. */
  newestFacts(app: string): Promise<NewestRelease[]>
  /** Those of the targets whose machines are in this app on Fly: see `OwnerAppStore`. */
  newestOn(flyApp: string): Promise<NewestRelease[]>
  /** The images of all kept releases of an app, newest first. */
  images(app: string): Promise<ReleaseImage[]>
  /** The apps that have releases. */
  apps(): Promise<string[]>
  /** These, and the owners' own apps, as Fly names them. */
  flyApps(): Promise<string[]>
  /**
   * Records the crashes of a release's machines, in the release and in the deployment that made it,
   * and writes the events to the log of that deployment, unless the log was dropped. False, and
   * nothing written: it is not the newest release any more, or its crashes have changed since they
   * were read.
   */
  noteCrashes(release: NewestRelease, crashes: Crash[], events: NewEvent[]): Promise<boolean>

  /**
   * Records that this gateway created the app, and Fly's own id of it. A later app of the same name
   * has another id.
   */
  recordCreatedApp(app: string, flyId: string | null): Promise<void>
  /** Whether this gateway created the app. An unknown id counts as the same. */
  isOwnApp(app: string, flyId: string | null): Promise<boolean>
  /** Deletes the releases, settings and secrets of an app that is gone. */
  forget(app: string): Promise<void>
}

/** Finds a release of a target. Throws `release-not-found`. */
export async function findRelease(
  store: Pick<ReleaseStore, 'find'>,
  app: string,
  owner: string | null,
  number: number,
): Promise<StoredRelease> {
  const release = await store.find(app, owner, number)
  if (release) return release
  const whose = owner === null ? app : `${owner} in ${app}`
  throw new Problem(
    'release-not-found',
    `There is no release ${number} of ${whose}. To list them: tarmac releases ${app}${owner === null ? '' : ` --owner ${owner}`}`,
  )
}
