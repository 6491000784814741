import type { Express, Request, RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { jsonBody, jsonObject } from '../../body/small-body.ts'
import { knownQuery } from '../../query.ts'

type Teams = Pick<Commands, 'teams'>
type Body = { bodyMs?: number }

export function addTeamRoutes(app: Express, commands: Teams, body: Body): void {
  app.get(routes.teams, listTeams(commands))
  app.post(routes.teams, createTeam(commands, body))
  app.get(routes.team, readTeam(commands))
  app.delete(routes.team, deleteTeam(commands))
  app.patch(routes.teamQuotas, changeQuotas(commands, body))
  app.put(routes.teamMember, changeTeam(commands, 'addMember', 'member'))
  app.delete(routes.teamMember, changeTeam(commands, 'removeMember', 'member'))
  app.put(routes.teamApp, changeTeam(commands, 'addApp', 'app'))
  app.delete(routes.teamApp, changeTeam(commands, 'removeApp', 'app'))
}

const param = (request: Request, name: string) => String(request.params[name])

/** `GET /v1/teams`. */
function listTeams({ teams }: Teams): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await teams.list(callerOf(request)))
  }
}

/** `POST /v1/teams`: `{"name": …}`. */
function createTeam({ teams }: Teams, { bodyMs }: Body): RequestHandler {
  return async (request, response) => {
    const { name, ...more } = await jsonObject(request, response, bodyMs)
    if (typeof name !== 'string' || Object.keys(more).length > 0)
      throw new Problem('request-invalid', 'Send the name of the team alone: {"name": "acme"}.')
    const team = await teams.create(callerOf(request), name)
    response
      .status(201)
      .location(fill(routes.team, { team: name }))
      .json(team)
  }
}

/** `GET /v1/teams/{team}`. */
function readTeam({ teams }: Teams): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await teams.show(callerOf(request), param(request, 'team')))
  }
}

/** `DELETE /v1/teams/{team}`. */
function deleteTeam({ teams }: Teams): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    await teams.remove(callerOf(request), param(request, 'team'))
    response.status(204).end()
  }
}

/** `PATCH /v1/teams/{team}/quotas`: a number, `"none"`, or null for the gateway's default. */
function changeQuotas({ teams }: Teams, { bodyMs }: Body): RequestHandler {
  return async (request, response) => {
    const patch = await jsonBody(request, response, bodyMs)
    response.json(await teams.setQuotas(callerOf(request), param(request, 'team'), patch))
  }
}

/** `PUT` and `DELETE` of `/v1/teams/{team}/members/{member}` and `/v1/teams/{team}/apps/{app}`. */
function changeTeam(
  { teams }: Teams,
  command: 'addMember' | 'removeMember' | 'addApp' | 'removeApp',
  what: 'member' | 'app',
): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    const [team, changed] = [param(request, 'team'), param(request, what)]
    response.json(await teams[command](callerOf(request), team, changed))
  }
}
