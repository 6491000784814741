import type { CallerKind } from '#api/callers/caller.ts'
import { isNamedBy } from '#api/callers/named-by.ts'
import type { Scope } from '#api/callers/scope.ts'

/** Who calls a command, how that was proved, and what the caller may do. */
export type Principal = {
  kind: CallerKind
  /** Stable, and unique among all callers: `operator`, `token:ci`, `github:acme/shop`. */
  name: string
  /** The id of the token that proved it. Null: no stored token. */
  tokenId: string | null
  scopes: readonly Scope[]
  /** App names, or prefixes that end with `*`. Null: all apps of its teams. */
  apps: readonly string[] | null
  /** Owners within the apps. Null: the whole app, and all its owners. */
  owners: readonly string[] | null
  /** Null: all teams. */
  teams: readonly string[] | null
  /** The address that the request came from. Null: the gateway itself. */
  address: string | null
  /** When the proof stops being valid: milliseconds since 1970. Null or absent: it has no end. */
  expiresAt?: number | null
  /** Absent: what proved the caller holds for as long as the gateway runs. */
  proof?: Proof
  /** The rule that allowed the caller. */
  rule?: string
  /** The gateway has no tokens, so every caller is the operator. */
  isOpen?: true
  /** Set if the caller holds a deploy link. It may make one deployment, and read that one. */
  link?: DeployLink
}

/** What proved a caller, and may stop being valid while a request of the caller runs. */
export interface Proof {
  /** Throws the problem of a proof that no longer holds, as `token-revoked`. */
  assertHolds(): void
  /** Fires when it stops holding. */
  ended(): AbortSignal
}

/** A single-use token for one deployment. */
export interface DeployLink {
  id: string
  /** The deployment that it made. Null: none yet. */
  readonly deployment: string | null
  noteUse(deployment: string): void
}

const unlimited = { tokenId: null, apps: null, owners: null, teams: null, address: null }

/** The holder of one of the tokens in `TARMAC_TOKENS`. */
export const operator: Principal = {
  ...unlimited,
  kind: 'operator',
  name: 'operator',
  scopes: ['admin'],
}

/** What a command concerns. `owner` null: the app as a whole; absent: any part of it. */
export type Target = { app: string; owner?: string | null | undefined }

/** Whether a caller is limited to some apps, owners or teams. */
export const isLimited = ({ apps, owners, teams }: Principal): boolean =>
  apps !== null || owners !== null || teams !== null

/**
 * Whether a caller may see a target at all. What it may do there, its scopes say. `teamOf`: the team
 * that an app belongs to.
 */
export function sees(
  { apps, owners, teams }: Principal,
  { app, owner }: Target,
  teamOf: (app: string) => string,
): boolean {
  return (
    (apps === null || apps.some((rule) => isNamedBy(rule, app))) &&
    (owners === null || owner === undefined || (owner !== null && owners.includes(owner))) &&
    (teams === null || teams.includes(teamOf(app)))
  )
}
