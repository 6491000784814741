import type { Express, Request } from 'express'
import { NewTemplate } from '#api/previews/template.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownQuery, wholeNumber } from '../../query.ts'

/** `/v1/apps/{app}/templates` and `/v1/apps/{app}/templates/{name}`. */
export function addTemplateRoutes(
  app: Express,
  { templates }: Pick<Commands, 'templates'>,
  { bodyMs }: Pick<ServerDeps, 'bodyMs'>,
): void {
  app.get(routes.templates, async (request, response) => {
    knownQuery(request)
    response.json(await templates.list(callerOf(request), appParam(request)))
  })
  app.get(routes.template, async (request, response) => {
    const given = knownQuery(request, 'version').get('version')
    const version = given === null ? null : wholeNumber('version', given)
    const [caller, name] = [callerOf(request), nameOf(request)]
    response.json(await templates.find(caller, appParam(request), name, version))
  })
  app.put(routes.template, async (request, response) => {
    const template = readRequest(NewTemplate, await jsonObject(request, response, bodyMs))
    const [caller, name] = [callerOf(request), nameOf(request)]
    response.json(await templates.set(caller, appParam(request), name, template))
  })
  app.delete(routes.template, async (request, response) => {
    knownQuery(request)
    response.json(await templates.remove(callerOf(request), appParam(request), nameOf(request)))
  })
}

const nameOf = ({ params }: Request) => String(params['name'])
