import { isNamedBy } from '#api/callers/named-by.ts'
import { allows, type Scope } from '#api/callers/scope.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../principal.ts'

/** What a token gives its holder. */
export type Strength = {
  scopes: readonly Scope[]
  apps: readonly string[] | null
  owners: readonly string[] | null
  team: string | null
  /** Milliseconds since 1970. Null: never. */
  expiresAt: number | null
}

/** Whether all that a token may reach is within what a caller may reach. */
export const isWithin = (
  { apps, owners, team }: Pick<Strength, 'apps' | 'owners' | 'team'>,
  caller: Principal,
): boolean =>
  // A rule names another rule when it names all that the other names.
  isPart(apps, caller.apps, (wanted, own) => isNamedBy(own, wanted)) &&
  isPart(owners, caller.owners, (owner, own) => owner === own) &&
  isPart(team === null ? null : [team], caller.teams, (one, own) => one === own)

/**
 * Throws `forbidden`, with what exceeds the caller, unless a token is at most as strong as the
 * caller: scopes, apps, owners, team and expiry.
 */
export function assertNoStronger(wanted: Strength, caller: Principal): void {
  const { scopes, apps, owners, team, expiresAt } = wanted
  const missing = scopes.filter((scope) => !allows(caller.scopes, scope))
  if (missing.length > 0) throw stronger(caller, `the scope ${missing.join(', ')}`)
  if (!isWithin({ apps, owners: null, team: null }, { ...caller, owners: null, teams: null }))
    throw stronger(caller, `the apps ${shown(apps)}, and has ${shown(caller.apps)}`)
  if (!isWithin({ apps: null, owners, team: null }, { ...caller, apps: null, teams: null }))
    throw stronger(caller, `the owners ${shown(owners)}, and has ${shown(caller.owners)}`)
  if (!isWithin({ apps: null, owners: null, team }, { ...caller, apps: null, owners: null }))
    throw stronger(caller, `the team ${team ?? 'of all'}, and has ${shown(caller.teams)}`)

  const end = caller.expiresAt ?? null
  if (end !== null && (expiresAt === null || expiresAt > end)) {
    const own = new Date(end).toISOString()
    throw stronger(caller, `a longer life: ${caller.name} itself expires at ${own}`)
  }
}

function isPart(
  wanted: readonly string[] | null,
  own: readonly string[] | null,
  isOf: (wanted: string, own: string) => boolean,
): boolean {
  if (own === null) return true
  return wanted !== null && wanted.every((one) => own.some((each) => isOf(one, each)))
}

const shown = (names: readonly string[] | null): string =>
  names === null ? 'all' : names.length > 0 ? names.join(', ') : 'none'

const stronger = ({ name }: Principal, what: string) =>
  new Problem(
    'forbidden',
    `A caller can only make tokens that may do no more than it may itself. This one asks for ${what} (${name}).`,
  )
