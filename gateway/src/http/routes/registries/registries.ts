import type { Express, Request, Response } from 'express'
import { readNewRegistry, readRotation, readTestRequest } from '#api/registries/registry.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { jsonObject } from '../../body/small-body.ts'
import { knownQuery } from '../../query.ts'

/** Logins at registries. No answer has a password. */
export function addRegistryRoutes(
  app: Express,
  { registries }: Pick<Commands, 'registries'>,
  { bodyMs }: { bodyMs?: number },
): void {
  const bodyOf = (request: Request, response: Response) => jsonObject(request, response, bodyMs)

  app.get(routes.registries, async (request, response) => {
    knownQuery(request)
    response.json({ registries: await registries.list(callerOf(request)) })
  })
  app.post(routes.registries, async (request, response) => {
    const wanted = readNewRegistry(await bodyOf(request, response))
    response.status(201).json(await registries.add(callerOf(request), wanted))
  })
  app.post(routes.testRegistry, async (request, response) => {
    const { 'content-length': bytes = '0', 'transfer-encoding': encoding } = request.headers
    const isEmpty = bytes === '0' && encoding === undefined
    const how = readTestRequest(isEmpty ? {} : await bodyOf(request, response))
    response.json(await registries.test(callerOf(request), nameOf(request), how))
  })
  app.put(routes.registry, async (request, response) => {
    const change = readRotation(await bodyOf(request, response))
    response.json(await registries.rotate(callerOf(request), nameOf(request), change))
  })
  app.delete(routes.registry, async (request, response) => {
    knownQuery(request)
    response.json(await registries.remove(callerOf(request), nameOf(request)))
  })
}

/** The id or the address of a login. */
const nameOf = (request: Request) => String(request.params['registry'])
