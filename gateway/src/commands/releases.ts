import { releaseStateOf } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Release, ReleaseDiff, SecretVersion } from '#api/release.ts'
import { readDesired } from '../deploy/config/read-desired.ts'
import { findRelease, type ReleaseStore, type StoredRelease } from '../deployments/release-store.ts'
import { differences } from '../differences.ts'

/** A release as the API returns it. */
export function releaseView({ desired, ...release }: StoredRelease): Release {
  const { groups } = readDesired(desired)
  const byGroup = <T>(value: (group: (typeof groups)[number]) => T) =>
    Object.fromEntries(groups.map((group) => [group.name, value(group)]))
  return {
    ...release,
    state: releaseStateOf(release.crashes),
    env: byGroup(({ config }) => config.env ?? {}),
    config: byGroup(({ config: { env: _env, ...config }, lastApplied }) => ({
      ...config,
      ...lastApplied,
    })),
  }
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
  throw new Problem('release-not-found', `There is no earlier release: ${whose} has ${has}.`)
}

/** What changed between two releases: image, config and env by path, and which secrets. */
export const releaseDiff = (from: Release, to: Release): ReleaseDiff => ({
  from: from.number,
  to: to.number,
  differences: differences(comparable(from), comparable(to)),
})

const comparable = ({ image, env, config, secrets }: Release) => ({
  image: image.reference,
  env,
  config,
  secrets: secretDigests(secrets ?? []),
})

/** The digest of each secret, by its name. */
export const secretDigests = (secrets: SecretVersion[]): Record<string, string> =>
  Object.fromEntries(secrets.map(({ name, digest }) => [name, digest]))
