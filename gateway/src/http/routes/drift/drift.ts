import type { Express } from 'express'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { appParam } from '../../body/upload.ts'
import { knownQuery, refuseBody } from '../../query.ts'

/** `GET /v1/drift`, `GET /v1/apps/{app}/drift` and `POST /v1/apps/{app}/drift/accept`. */
export function addDriftRoutes(app: Express, { drift }: Pick<Commands, 'drift'>): void {
  app.get(routes.driftList, async (request, response) => {
    knownQuery(request)
    response.json(await drift.list(callerOf(request)))
  })
  app.get(
    routes.drift,
    async (request, response) =>
      void response.json(await drift.report(callerOf(request), appParam(request))),
  )
  app.post(routes.acceptDrift, async (request, response) => {
    const name = appParam(request)
    refuseBody(request)
    knownQuery(request)
    response.json(await drift.accept(callerOf(request), name))
  })
}
