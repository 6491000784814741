import type { Express, Request, Response } from 'express'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { jsonObject } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownQuery } from '../../query.ts'
import { targetInQuery, targetOf } from '../releases.ts'
import { readChange } from './read-change.ts'

type RuntimeCalls = Pick<Commands, 'runtime' | 'changeBuildSecrets'>
type Server = Pick<ServerDeps, 'bodyMs'>

/** Secrets and variables of an app's machines, and several build secrets at once. */
export function addRuntimeRoutes(app: Express, commands: RuntimeCalls, server: Server): void {
  const { runtime } = commands
  app.get(routes.runtimeSecrets, async (request, response) => {
    response.json(await runtime.secrets(callerOf(request), targetOf(request)))
  })
  app.get(routes.env, async (request, response) => {
    knownQuery(request)
    response.json(await runtime.env(callerOf(request), appParam(request)))
  })
  app.patch(routes.runtimeSecrets, async (request, response) => {
    const { values, deploy } = await changeOf(request, response, server)
    const change = { values, deploy: deploy ?? true }
    response.json(await runtime.changeSecrets(callerOf(request), targetInQuery(request), change))
  })
  app.patch(routes.env, async (request, response) => {
    const { values, deploy } = await changeOf(request, response, server)
    const change = { values, deploy: deploy ?? false }
    response.json(await runtime.changeEnv(callerOf(request), appParam(request), change))
  })
  app.post(routes.deploySecrets, async (request, response) => {
    response.json(await runtime.deploySecrets(callerOf(request), targetOf(request)))
  })
  app.patch(routes.secrets, async (request, response) => {
    const body = await jsonObject(request, response, server.bodyMs)
    const { values } = readChange(body, ['values'])
    const answer = commands.changeBuildSecrets(callerOf(request), appParam(request), values)
    response.json(await answer)
  })
}

const changeOf = async (request: Request, response: Response, { bodyMs }: Server) =>
  readChange(await jsonObject(request, response, bodyMs), ['values', 'deploy'])
