import type { Express, Request } from 'express'
import { readFilter } from '#api/overview/overview.ts'
import { Extension, PreviewFilter } from '#api/previews/preview.ts'
import { StatsFilter } from '#api/previews/preview-stats.ts'
import { ExecRequest, PreviewAction } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { statsOf } from '../../../commands/previews/count-previews.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownQuery, pageQuery, wholeNumber } from '../../query.ts'
import { createPreview } from './create-preview.ts'

type Previews = Pick<Commands, 'previews'>

export function addPreviewRoutes(app: Express, commands: Previews, server: ServerDeps): void {
  const { previews } = commands
  app.post(routes.previews, createPreview(commands, server))
  app.get(routes.previews, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', ...PreviewFilter.keyof().options)
    const filter = readFilter(PreviewFilter, query)
    response.json(await previews.list(callerOf(request), filter, pageQuery(query)))
  })
  app.get(routes.previewStats, async (request, response) => {
    const query = knownQuery(request, ...StatsFilter.keyof().options)
    const living = await previews.living(callerOf(request), readFilter(StatsFilter, query))
    response.json(statsOf(living, { now: Date.now(), currency: server.currency }))
  })
  app.get(routes.previewRequests, async (request, response) => {
    const query = knownQuery(request, ...StatsFilter.keyof().options)
    response.json(await previews.requests(callerOf(request), readFilter(StatsFilter, query)))
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
  app.get(routes.previewLogs, async (request, response) => {
    const count = linesOf(knownQuery(request, 'lines'))
    response.json(await previews.logs(callerOf(request), idOf(request), count))
  })
  app.post(routes.execPreview, async (request, response) => {
    const body = readRequest(ExecRequest, await jsonObject(request, response, server.bodyMs))
    response.json(await previews.exec(callerOf(request), idOf(request), body))
  })
  app.post(routes.previewAction, async (request, response) => {
    knownQuery(request)
    response.json(await previews.change(callerOf(request), idOf(request), actionOf(request)))
  })
}

const maxLines = 1000

function linesOf(query: URLSearchParams): number {
  const count = wholeNumber('lines', query.get('lines') ?? '100')
  if (count >= 1 && count <= maxLines) return count
  throw new Problem(
    'option-invalid',
    `The option lines is invalid: expected a number from 1 to ${maxLines}.`,
  )
}

function actionOf({ params }: Request): PreviewAction {
  const { data } = PreviewAction.safeParse(params['action'])
  if (data) return data
  const known = PreviewAction.options.join(', ')
  throw new Problem('route-not-found', `A preview can do ${known}; see docs/http.md.`)
}

const idOf = ({ params }: Request) => String(params['id'])
