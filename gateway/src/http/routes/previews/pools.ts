import type { Express, Request } from 'express'
import { readFilter } from '#api/overview/overview.ts'
import { NewPool, PoolFilter } from '#api/previews/pool.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { readRequest } from '../../body/read-request.ts'
import { jsonObject } from '../../body/small-body.ts'
import { appParam } from '../../body/upload.ts'
import type { ServerDeps } from '../../deps.ts'
import { knownQuery } from '../../query.ts'

/** `/v1/pools` and `/v1/apps/{app}/pools/{template}`. */
export function addPoolRoutes(
  app: Express,
  { pools }: Pick<Commands, 'pools'>,
  { bodyMs }: Pick<ServerDeps, 'bodyMs'>,
): void {
  app.get(routes.pools, async (request, response) => {
    const filter = readFilter(PoolFilter, knownQuery(request, ...PoolFilter.keyof().options))
    response.json({ pools: await pools.list(callerOf(request), filter) })
  })
  app.put(routes.pool, async (request, response) => {
    const pool = readRequest(NewPool, await jsonObject(request, response, bodyMs))
    const [caller, template] = [callerOf(request), templateOf(request)]
    response.json(await pools.set(caller, appParam(request), template, pool))
  })
  app.delete(routes.pool, async (request, response) => {
    knownQuery(request)
    const [caller, template] = [callerOf(request), templateOf(request)]
    response.json(await pools.remove(caller, appParam(request), template))
  })
}

const templateOf = ({ params }: Request) => String(params['template'])
