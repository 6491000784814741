import type { NewRule } from '#api/callers/rule.ts'
import { defaultTeam } from '#api/callers/teams.ts'
import { someOf } from '#api/text/some-of.ts'
import { type Principal, sees } from '../../callers/principal.ts'
import type { TeamStore } from '../../deployments/teams/team-store.ts'
import type { RuleCommands } from '../rules/rule-commands.ts'
import type { TokenCommands } from '../tokens/token-commands.ts'
import { noTeam } from './open-teams.ts'

type Teams = Pick<TeamStore, 'isAlone' | 'all' | 'find' | 'teamOf' | 'teamsOf'>
type NewCaller = { name: string | null; apps: readonly string[] | null; team: string | null }

/**
 * The commands about tokens, for a gateway with teams. A token of a team that does not exist is
 * refused. A deploy link is of the team of its app. An answer says what the new caller does not see.
 */
export const tokensInTeams = (tokens: TokenCommands, teams: Teams): TokenCommands => ({
  async create(caller, wanted) {
    const made = await tokens.create(caller, wanted)
    const { team, apps, scopes } = made
    const seesAll = scopes.includes('admin') && apps === null && team === null
    const fresh = { name: team === null ? `token:${made.name}` : null, apps, team }
    return seesAll ? made : { ...made, ...notesOn(fresh, caller, teams) }
  },
  createLink(caller, target, wanted) {
    const team = teams.teamOf(target.app)
    const maker = { ...caller, teams: team === defaultTeam ? null : [team] }
    return tokens.createLink(maker, target, wanted)
  },
  find: (...asked) => tokens.find(...asked),
  list: (...asked) => tokens.list(...asked),
  revoke: (...asked) => tokens.revoke(...asked),
  rotate: (...asked) => tokens.rotate(...asked),
})

/** The commands about rules, for a gateway with teams, as `tokensInTeams`. */
export const rulesInTeams = (rules: RuleCommands, teams: Teams): RuleCommands => ({
  async add(caller, rule) {
    if (rule.team !== null && !teams.find(rule.team)) throw noTeam(rule.team)
    const added = await rules.add(caller, rule)
    return { ...added, ...notesOn({ ...rule, name: callerOf(rule) }, caller, teams) }
  },
  list: (...asked) => rules.list(...asked),
  remove: (...asked) => rules.remove(...asked),
})

/** The caller of a rule. Null: a rule of a proxy may have many, and one with a team joins no other. */
const callerOf = ({ name, aud, team }: NewRule): string | null =>
  aud === null || team !== null ? null : name

/** What a new caller does not see because of its team, and what to do about it. */
function notesOn(
  { name, apps, team }: NewCaller,
  maker: Principal,
  teams: Teams,
): { notes?: string[] } {
  if (teams.isAlone) return {}
  const own = team === null ? (name && teams.teamsOf(name)) || [defaultTeam] : [team]
  const named = (apps ?? []).filter((app) => !app.endsWith('*'))
  // Only what the maker itself may see: a note is no way to learn of other teams.
  const hidden = named.filter(
    (app) => !own.includes(teams.teamOf(app)) && sees(maker, { app }, (each) => teams.teamOf(each)),
  )
  const notes = [...Map.groupBy(hidden, (app) => teams.teamOf(app))].map(
    ([of, all]) =>
      `${someOf(all, 5)} is of team ${of}, and this caller is not: ${wayInto(of, name)}`,
  )
  if (apps === null && team === null && name !== null && !teams.teamsOf(name))
    notes.push(
      `This caller is in no team, so it sees only apps that are in none: ${wayInto('TEAM', name)}`,
    )
  return notes.length > 0 ? { notes } : {}
}

const wayInto = (team: string, name: string | null): string =>
  name === null ? `make it with --team ${team}` : `tarmac team add-member ${team} ${name}`
