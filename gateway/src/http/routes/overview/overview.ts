import type { Express } from 'express'
import { AppFilter, DeploymentFilter, readFilter } from '#api/overview/overview.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { knownQuery, pageQuery } from '../../query.ts'

/** `GET /v1/deployments` and `GET /v1/apps`: lists over all apps. */
export function addOverviewRoutes(app: Express, { overview }: Pick<Commands, 'overview'>): void {
  app.get(routes.allDeployments, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', ...DeploymentFilter.keyof().options)
    const filter = readFilter(DeploymentFilter, query)
    response.json(await overview.deployments(callerOf(request), filter, pageQuery(query)))
  })
  app.get(routes.apps, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', ...AppFilter.keyof().options)
    const filter = readFilter(AppFilter, query)
    const page = pageQuery(query, /^[a-z0-9-]{1,100}$/)
    response.json(await overview.apps(callerOf(request), filter, page))
  })
}
