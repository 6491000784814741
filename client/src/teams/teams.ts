import { LimitsAnswer } from '#api/callers/limits.ts'
import { defaultTeam, Team, TeamList } from '#api/callers/teams.ts'
import { fill, routes } from '#api/routes.ts'
import { readAnswer } from '../answers.ts'
import { askGateway } from '../builder/ask-gateway.ts'
import type { Connection } from '../connection.ts'
import type { Printer } from '../print.ts'
import type { TeamRequest } from './read-teams.ts'
import { limitsText, teamsText, teamText } from './render-teams.ts'

const askMs = 30_000

/** Runs `tarmac team` and `tarmac limits`. Returns the exit code. */
export async function teams(
  request: TeamRequest & Connection,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const ask = (path: string, more: { method?: 'PUT' | 'PATCH' | 'DELETE'; body?: object } = {}) =>
    askGateway(request, { path, withinMs: askMs, ...more }, signal)

  switch (request.verb) {
    case 'limits': {
      const limits = readAnswer(LimitsAnswer, await ask(routes.limits))
      return printer.result(limits, limitsText(limits))
    }
    case 'list': {
      const list = readAnswer(TeamList, await ask(routes.teams))
      return printer.result(list, teamsText(list.teams))
    }
    case 'create': {
      const { team: name } = request
      const team = readAnswer(Team, await ask(routes.teams, { body: { name } }))
      return printer.result(team, [
        `made team ${name}; to add a member: tarmac team add-member ${name} token:NAME`,
      ])
    }
    case 'show': {
      const team = readAnswer(Team, await ask(fill(routes.team, { team: request.team })))
      return printer.result(team, teamText(team))
    }
    case 'delete':
      await ask(fill(routes.team, { team: request.team }), { method: 'DELETE' })
      return printer.result({ team: request.team }, [
        `deleted team ${request.team}; members that are in no other team see no app now`,
      ])
    case 'set-quota': {
      const path = fill(routes.teamQuotas, { team: request.team })
      const team = readAnswer(Team, await ask(path, { method: 'PATCH', body: request.quotas }))
      return printer.result(team, teamText(team))
    }
    case 'add-member':
    case 'remove-member':
    case 'add-app':
    case 'remove-app':
      return change(request, ask, printer)
  }
}

type Change = Extract<TeamRequest, { what: string }>
type Ask = (path: string, more: { method: 'PUT' | 'DELETE' }) => Promise<unknown>

/** Adds or removes a member or an app. */
async function change({ verb, team, what }: Change, ask: Ask, printer: Printer): Promise<number> {
  const isMember = verb.endsWith('-member')
  const path = isMember
    ? fill(routes.teamMember, { team, member: what })
    : fill(routes.teamApp, { team, app: what })
  const method = verb.startsWith('add-') ? 'PUT' : 'DELETE'
  const changed = readAnswer(Team, await ask(path, { method }))
  return printer.result(changed, [changeText(verb, team, what), ...(changed.notes ?? [])])
}

export function changeText(verb: Change['verb'], team: string, what: string): string {
  switch (verb) {
    case 'add-member':
      return `${what} is in team ${team} now`
    case 'remove-member':
      return `${what} is in team ${team} no more; without another team it sees no app (to give it those of no team: tarmac team add-member ${defaultTeam} ${what})`
    case 'add-app':
      return `${what} is an app of team ${team} now`
    case 'remove-app':
      return `${what} is an app of team ${defaultTeam} now`
  }
}
