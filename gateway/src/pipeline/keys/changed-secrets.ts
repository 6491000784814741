import type { Deployment } from '#api/deployment.ts'
import type { SecretVersion } from '#api/release.ts'
import { secretDigests } from '../../commands/releases.ts'
import {
  findRelease,
  type ReleaseStore,
  type StoredRelease,
} from '../../deployments/release-store.ts'
import { differences } from '../../differences.ts'

/**
 * A warning that names the secrets that changed on Fly since the release that a rollback restores.
 * A rollback does not restore them, because Fly keeps them per app. Null: it is no rollback, or
 * none did.
 */
export async function changedSecrets(
  { app, owner, from }: Deployment,
  releases: Pick<ReleaseStore, 'find'>,
  now: SecretVersion[] | null,
): Promise<string | null> {
  if (from?.app !== app || from.owner !== owner) return null
  const release = await findRelease(releases, app, owner, from.release)
  const newest = await releases.find(app, owner)
  return newest?.number === from.release ? null : textOf(release, now)
}

function textOf({ number, secrets }: StoredRelease, now: SecretVersion[] | null): string | null {
  if (!secrets || !now)
    return `Fly did not say which secrets have changed since release ${number}. They stay as they are.`
  const changes = differences(secretDigests(secrets), secretDigests(now)).map(
    ({ path, before, after }) => {
      if (before === undefined) return `${path} (added)`
      return `${path} (${after === undefined ? 'removed' : 'changed'})`
    },
  )
  if (changes.length === 0) return null
  return `A rollback does not restore secrets on Fly. Changed since release ${number}: ${changes.join(', ')}.`
}
