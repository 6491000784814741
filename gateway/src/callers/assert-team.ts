import { Problem } from '#api/problem.ts'
import type { TeamStore } from '../deployments/teams/team-store.ts'

/**
 * Throws `team-not-found` for rights in a team that does not exist: whoever makes the team later would
 * not know of them.
 */
export function assertTeam(team: string | null, teams: Pick<TeamStore, 'find'>): void {
  if (team !== null && teams.find(team) === null)
    throw new Problem(
      'team-not-found',
      `There is no team ${team.slice(0, 100)}. Make it first: tarmac team create ${team.slice(0, 100)}`,
    )
}
