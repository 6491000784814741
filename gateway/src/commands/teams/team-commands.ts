import type { Team, TeamList } from '#api/callers/teams.ts'
import type { Principal } from '../../callers/principal.ts'

/** Who is in a team, which apps it has, and what it may use. */
export type TeamCommands = {
  list(caller: Principal): Promise<TeamList>
  show(caller: Principal, team: string): Promise<Team>
  create(caller: Principal, team: string): Promise<Team>
  /** Throws `team-not-empty` while it has apps, or while a token or a rule has rights in it. */
  remove(caller: Principal, team: string): Promise<void>
  /** `member`: the name of a caller, as `token:ci`. */
  addMember(caller: Principal, team: string, member: string): Promise<Team>
  /** Without another team the member sees no app then. */
  removeMember(caller: Principal, team: string, member: string): Promise<Team>
  /** Takes the app from its other team. */
  addApp(caller: Principal, team: string, app: string): Promise<Team>
  /** Gives the app to the team `default`. */
  removeApp(caller: Principal, team: string, app: string): Promise<Team>
  /** Quotas by name: a number, `none`, or null for the gateway's default. */
  setQuotas(caller: Principal, team: string, patch: unknown): Promise<Team>
}
