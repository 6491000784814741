import type { Express, Request, Response } from 'express'
import { MachineAction } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { appParam } from '../../body/upload.ts'
import { knownQuery } from '../../query.ts'

/** `GET /v1/apps/{app}/machines`, and `POST /v1/apps/{app}/machines/{id}/{action}`. */
export function addMachineRoutes(app: Express, { machines }: Pick<Commands, 'machines'>): void {
  app.get(routes.machines, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json({ machines: await machines.list(callerOf(request), appParam(request)) })
  })
  app.post(routes.machineAction, async (request: Request, response: Response) => {
    knownQuery(request)
    const [name, id, action] = [appParam(request), request.params['id'], actionOf(request)]
    response.json(await machines.change(callerOf(request), name, String(id), action))
  })
}

function actionOf({ params }: Request): MachineAction {
  const { data } = MachineAction.safeParse(params['action'])
  if (data) return data
  const known = MachineAction.options.join(', ')
  throw new Problem('route-not-found', `A machine can do ${known}; see docs/http.md.`)
}
