import type { Express, Request, Response } from 'express'
import { PauseRequest } from '#api/overview/queue.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { knownQuery } from '../../query.ts'

type QueueCommands = Pick<Commands, 'overview' | 'queue'>

/** `GET /v1/queue`, and the calls that change it. */
export function addQueueRoutes(app: Express, { overview, queue }: QueueCommands): void {
  app.get(routes.queue, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await overview.queue(callerOf(request)))
  })
  app.post(routes.queuePause, async (request: Request, response: Response) => {
    const { why } = readRequest(PauseRequest, { why: knownQuery(request, 'why').get('why') })
    response.json(await queue.pause(callerOf(request), why))
  })
  app.delete(routes.queuePause, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await queue.resume(callerOf(request)))
  })
  app.post(routes.goFirst, async (request: Request, response: Response) => {
    knownQuery(request)
    response.json(await queue.first(callerOf(request), String(request.params['id'])))
  })
}
