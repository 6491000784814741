import type { SecretVersion } from '#api/release.ts'
import type { StoredRelease } from '../../deployments/release-store.ts'
import { changesSince, changesText } from './secret-states.ts'

/** A warning that names what another tool has changed since a release. Empty: nothing. */
export function foreignChanges(
  { app, owner, number, secrets }: StoredRelease,
  now: SecretVersion[],
  own: Record<string, string | null>,
): string[] {
  const changes = changesSince(secrets ?? [], now, own).filter(({ by }) => by !== 'tarmac')
  if (!secrets || changes.length === 0) return []
  const whose = owner === null ? app : `${owner} in ${app}`
  return [
    `Another tool has changed secrets on Fly since release ${number} of ${whose}: ${changesText(changes)}.`,
  ]
}
