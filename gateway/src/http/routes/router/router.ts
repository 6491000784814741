import type { Express, Request, Response } from 'express'
import { NewRouter, routerOf } from '#api/router/router.ts'
import { fill, routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownNames, knownQuery, queryOf } from '../../query.ts'

/** `GET /v1/routers`, and `GET`, `POST` and `DELETE /v1/apps/{app}/router`. */
export function addRouterRoutes(
  app: Express,
  { router }: Pick<Commands, 'router'>,
  { bodyMs }: Pick<ServerDeps, 'bodyMs'>,
): void {
  app.get(routes.routers, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await router.list(callerOf(request)))
  })
  app.get(routes.router, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await router.show(callerOf(request), targetOf(request)))
  })
  app.post(routes.router, async (request: Request, response: Response) => {
    knownNames(queryOf(request))
    const target = targetOf(request)
    const body = await jsonObject(request, response, bodyMs)
    const answer = await router.deploy(callerOf(request), target, readRequest(NewRouter, body))
    const { deployment: id } = answer
    if (id !== null) response.status(202).location(fill(routes.deployment, { id }))
    response.json(answer)
  })
  app.delete(routes.router, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await router.remove(callerOf(request), targetOf(request)))
  })
}

function targetOf(request: Request) {
  const app = appParam(request)
  return { app, router: routerOf(app) }
}
