import { defaultTeam, type Team } from '#api/callers/teams.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../../../callers/principal.ts'
import { noTeam } from '../../teams/open-teams.ts'
import type { TeamCommands } from '../../teams/team-commands.ts'
import { ofMember, ofQuotas, ofTeamApp, ofTeamName } from '../recorded.ts'
import { administer, read } from '../row-kinds.ts'
import type { IsSeen, TableOf } from '../row.ts'

const noAppOrTeam = (app: string, team: string) =>
  new Problem(
    'app-not-found',
    `There is no app ${app.slice(0, 100)} and team ${team.slice(0, 100)} that the caller may use. To move an app, the caller must be in both teams.`,
  )

/** For commands whose first argument is a team. */
const byTeam = {
  teams: ([team]: [string, ...unknown[]]) => [team],
  missing: ([team]: [string, ...unknown[]]) => noTeam(team),
}

/** A team as a caller sees it: who is limited to some apps learns of no others, and of no members. */
const teamFor = (team: Team, isSeen: IsSeen, { apps, owners }: Principal): Team => ({
  ...team,
  members: apps === null && owners === null ? team.members : null,
  apps: team.apps.filter((app) => isSeen({ app })),
})

/** What each command about teams needs of its caller. */
export const teamRows: TableOf<TeamCommands> = {
  list: {
    ...read,
    shown: ({ teams }, isSeen, { caller }) => ({
      teams: teams
        .filter(({ name }) => caller.teams === null || caller.teams.includes(name))
        .map((team) => teamFor(team, isSeen, caller)),
    }),
  },
  show: {
    ...read,
    ...byTeam,
    shown: (team, isSeen, { caller }) => teamFor(team, isSeen, caller),
  },
  // Members and quotas decide what a team's own administrators may do, so they change none.
  create: { ...administer, recorded: ofTeamName },
  remove: { ...administer, recorded: ofTeamName },
  addMember: { ...administer, recorded: ofMember },
  removeMember: { ...administer, recorded: ofMember },
  setQuotas: { ...administer, recorded: ofQuotas },
  addApp: {
    ...administer,
    recorded: ofTeamApp,
    creates: true,
    teams: ([team]) => [team],
    targets: ([_team, app]) => [{ app, owner: null }],
    missing: ([team, app]) => noAppOrTeam(app, team),
  },
  removeApp: {
    ...administer,
    recorded: ofTeamApp,
    teams: ([team]) => [team, defaultTeam],
    targets: ([_team, app]) => [{ app, owner: null }],
    missing: ([team, app]) => noAppOrTeam(app, team),
  },
}
