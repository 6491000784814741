import { Problem } from '#api/problem.ts'
import type { Release, ReleaseDiff, SecretVersion } from '#api/release.ts'
import type { DesiredApp } from '../deploy/config/desired-app.ts'
import { readDesired } from '../deploy/config/read-desired.ts'
import type { StoredRelease, ReleaseStore } from '../deployments/release-store.ts'
import { differences } from './diff.ts'

/** A release as the API returns it. */
export function releaseView({ desired, ...release }: StoredRelease): Release {
  const { groups } = readDesired(desired)
  const byGroup = <T>(value: (group: DesiredApp['groups'][number]) => T) =>
    Object.fromEntries(groups.map((group) => [group.name, value(group)]))
  return {
    ...release,
    env: byGroup(({ config }) => config.env ?? {}),
    config: byGroup(({ config: { env: _env, ...config }, lastApplied }) => ({
      ...config,
      ...lastApplied,
    })),
  }
}

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
    `There is no release ${number} of ${whose}. GET /v1/apps/${app}/releases lists them.`,
  )
}

/** The release that a rollback deploys: `number`, else the one before the newest. */
export async function previousRelease(
  store: Pick<ReleaseStore, 'find' | 'list'>,
  app: string,
  owner: string | null,
  number: number | null,
): Promise<StoredRelease> {
  if (number !== null) return findRelease(store, app, owner, number)
  const newest = await store.find(app, owner)
  const before =
    newest && (await store.list(app, owner, { limit: 1, before: `${newest.number}` })).releases[0]
  if (before) return before
  const whose = owner === null ? app : `${owner} in ${app}`
  const has = newest ? `one release, number ${newest.number}` : 'no release'
  throw new Problem('release-not-found', `There is nothing to go back to: ${whose} has ${has}.`)
}

/** What changed between two releases: image, config and env by path, and which secrets. */
export const releaseDiff = (from: Release, to: Release): ReleaseDiff => ({
  from: from.number,
  to: to.number,
  differences: differences(comparable(from), comparable(to)),
})

/**
 * A warning that names the secrets that changed on Fly since a release; null if none did. A
 * rollback does not restore them, because Fly keeps them per app.
 */
export function changedSecrets(
  { number, secrets }: StoredRelease,
  now: SecretVersion[] | null,
): string | null {
  if (!secrets || !now)
    return `Fly did not say which secrets are others than at release ${number}; they stay as they are.`
  const changes = differences(digests(secrets), digests(now)).map(({ path, before, after }) => {
    if (before === undefined) return `${path} (added)`
    return `${path} (${after === undefined ? 'removed' : 'changed'})`
  })
  if (changes.length === 0) return null
  return `Secrets on Fly are not turned back. Since release ${number}: ${changes.join(', ')}.`
}

const comparable = ({ image, env, config, secrets }: Release) => ({
  image: image.reference,
  env,
  config,
  secrets: digests(secrets ?? []),
})
const digests = (secrets: SecretVersion[]) =>
  Object.fromEntries(secrets.map(({ name, digest }) => [name, digest]))
