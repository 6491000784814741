import { addressText, readAddress, type RegistryAddress } from '#api/registries/address.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../callers/principal.ts'
import type { StoredRegistry } from '../../deployments/registries/registry-store.ts'

/** Whether a caller administers all apps of a team; null: all teams. */
export const administers = (
  { apps, owners, teams }: Pick<Principal, 'apps' | 'owners' | 'teams'>,
  team: string | null,
): boolean =>
  apps === null && owners === null && (teams === null || (team !== null && teams.includes(team)))

/** The team of a new login. `wanted` undefined: as its maker. Throws `forbidden` or `team-unclear`. */
export function teamOfNew(caller: Principal, wanted: string | null | undefined): string | null {
  const { name, apps, owners, teams } = caller
  if (apps !== null || owners !== null)
    throw new Problem(
      'forbidden',
      `A login at a registry is for all apps of a team; ${name} is limited to some apps or owners.`,
    )
  if (wanted === undefined && teams?.length === 1) return teams[0]!
  const team = wanted ?? null
  if (administers(caller, team)) return team
  if (team === null && wanted === undefined && teams && teams.length > 1)
    throw new Problem(
      'team-unclear',
      `${name} is in ${teams.length} teams: ${teams.join(', ')}. Say whose apps may use the login: --team TEAM.`,
      { facts: { teams } },
    )
  if (team === null)
    throw new Problem(
      'forbidden',
      `A login for all teams is made by an administrator of the whole gateway; ${name} is limited to teams. Name one: --team TEAM.`,
    )
  throw new Problem(
    'team-not-found',
    `There is no team ${team.slice(0, 100)} that the caller may see.`,
  )
}

/**
 * The login of this id or address that the caller may see. Throws `registry-not-found`, or
 * `registry-invalid` when several teams have one for the address.
 */
export function loginNamed(
  all: readonly StoredRegistry[],
  caller: Principal,
  name: string,
): StoredRegistry {
  const seen = all.filter(({ team }) => administers(caller, team))
  const byId = seen.find(({ id }) => id === name)
  if (byId) return byId
  const address = addressIn(name)
  const found = seen.filter(
    ({ host, prefix }) => host === address?.host && prefix === address.prefix,
  )
  const [first, second] = found
  if (first && !second) return first
  if (first) {
    const ids = found.map(
      ({ id, team }) => `${id} (${team === null ? 'all teams' : `team ${team}`})`,
    )
    throw new Problem(
      'registry-invalid',
      `There are several logins for ${addressText(first)}. Name one by its id: ${ids.slice(0, 10).join(', ')}.`,
    )
  }
  throw noLogin(name)
}

export const noLogin = (name: string) =>
  new Problem(
    'registry-not-found',
    `There is no login at a registry ${name.slice(0, 100)} that the caller may see. To list them: tarmac registries list`,
  )

function addressIn(text: string): RegistryAddress | null {
  try {
    return readAddress(text)
  } catch {
    return null
  }
}
