import type { Express, Request, Response } from 'express'
import { MachineAction } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { appParam } from '../../body/upload.ts'
import { knownQuery, wholeNumber } from '../../query.ts'

/** `GET /v1/apps/{app}/machines` and `…/metrics`, and `POST /v1/apps/{app}/machines/{id}/{action}`. */
export function addMachineRoutes(app: Express, { machines }: Pick<Commands, 'machines'>): void {
  app.get(routes.machines, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json({ machines: await machines.list(callerOf(request), appParam(request)) })
  })
  app.get(routes.metrics, async (request: Request, response: Response) => {
    const query = knownQuery(request, 'owner', 'minutes')
    const asked = { owner: query.get('owner'), minutes: minutesOf(query) }
    response.json(await machines.metrics(callerOf(request), appParam(request), asked))
  })
  app.post(routes.machineAction, async (request: Request, response: Response) => {
    knownQuery(request)
    const [name, id, action] = [appParam(request), request.params['id'], actionOf(request)]
    response.json(await machines.change(callerOf(request), name, String(id), action))
  })
}

function minutesOf(query: URLSearchParams): number {
  const minutes = wholeNumber('minutes', query.get('minutes') ?? '60')
  if (minutes >= 15 && minutes <= 180) return minutes
  throw new Problem(
    'option-invalid',
    'The option minutes is invalid: expected a number from 15 to 180.',
  )
}

function actionOf({ params }: Request): MachineAction {
  const { data } = MachineAction.safeParse(params['action'])
  if (data) return data
  const known = MachineAction.options.join(', ')
  throw new Problem('route-not-found', `A machine can do ${known}; see docs/http.md.`)
}
