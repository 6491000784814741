import type { Express, Request, RequestHandler, Response } from 'express'
import { readFilter } from '#api/overview/overview.ts'
import { Extension, NewPreview, type Preview, PreviewFilter } from '#api/previews/preview.ts'
import { fill, routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { untilEnd } from '../../../deployments/follow.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import type { ServerDeps } from '../../deps.ts'
import { booleanQuery, knownQuery, pageQuery, queryOf } from '../../query.ts'
import { idempotencyKeyOf } from '../create-deployment.ts'

type Previews = Pick<Commands, 'previews'>

export function addPreviewRoutes(app: Express, commands: Previews, server: ServerDeps): void {
  const { previews } = commands
  app.post(routes.previews, createPreview(commands, server))
  app.get(routes.previews, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', ...PreviewFilter.keyof().options)
    const filter = readFilter(PreviewFilter, query)
    response.json(await previews.list(callerOf(request), filter, pageQuery(query)))
  })
  app.get(routes.preview, async (request, response) => {
    knownQuery(request)
    response.json(await previews.find(callerOf(request), idOf(request)))
  })
  app.delete(routes.preview, async (request, response) => {
    knownQuery(request)
    response.status(202).json(await previews.destroy(callerOf(request), idOf(request)))
  })
  app.post(routes.extendPreview, async (request, response) => {
    const body = await jsonObject(request, response, server.bodyMs)
    const { ttlSeconds } = readRequest(Extension, body)
    response.json(await previews.extend(callerOf(request), idOf(request), ttlSeconds))
  })
}

const idOf = ({ params }: Request) => String(params['id'])

/**
 * `POST /v1/previews`: 202 at once. With `wait=true` 201 once it is ready, or the problem of its
 * deployment.
 */
function createPreview({ previews }: Previews, server: ServerDeps): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(request)
    const wait = booleanQuery(queryOf(request), 'wait')
    const body = await jsonObject(request, response, server.bodyMs)
    const idempotencyKey = idempotencyKeyOf(request)
    const preview = await previews.create(caller, readRequest(NewPreview, body), { idempotencyKey })
    if (!wait) return answer(response, 202, preview)
    await untilEnd(server.store, preview.deployment, server.stopping)
    const ended = await previews.find(caller, preview.id)
    answer(response, ended.state === 'ready' ? 201 : (ended.problem?.status ?? 202), ended)
  }
}

function answer(response: Response, status: number, preview: Preview): void {
  response
    .status(status)
    .location(fill(routes.preview, { id: preview.id }))
    .json(preview)
}
