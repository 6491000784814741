import type { Express, Request } from 'express'
import { OwnerName, ownerRule } from '#api/app.ts'
import { PowerAction } from '#api/machines/machine-facts.ts'
import { OwnerFilter, VolumesEnd } from '#api/owners/owner.ts'
import { readFilter } from '#api/overview/overview.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { appParam } from '../../body/upload.ts'
import { knownQuery, pageQuery } from '../../query.ts'

/** `/v1/apps/{app}/owners`, `…/{owner}` and `…/{owner}/{action}`. */
export function addOwnerRoutes(app: Express, { owners }: Pick<Commands, 'owners'>): void {
  app.get(routes.owners, async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', ...OwnerFilter.keyof().options)
    const filter = readFilter(OwnerFilter, query)
    const page = pageQuery(query, /^[a-z0-9-]{1,63}$/)
    response.json(await owners.list(callerOf(request), appParam(request), filter, page))
  })
  app.get(routes.owner, async (request, response) => {
    knownQuery(request)
    response.json(await owners.show(callerOf(request), targetOf(request)))
  })
  app.delete(routes.owner, async (request, response) => {
    const volumes = volumesOf(knownQuery(request, 'volumes'))
    response.json(await owners.destroy(callerOf(request), targetOf(request), volumes))
  })
  app.post(routes.ownerAction, async (request, response) => {
    knownQuery(request)
    response.json(await owners.change(callerOf(request), targetOf(request), actionOf(request)))
  })
}

function targetOf(request: Request): { app: string; owner: string } {
  const owner = String(request.params['owner'])
  if (OwnerName.safeParse(owner).success) return { app: appParam(request), owner }
  throw new Problem('option-invalid', `The owner is invalid: ${ownerRule}.`)
}

/** It must be said: what is deleted is gone. */
function volumesOf(query: URLSearchParams): VolumesEnd {
  const { data } = VolumesEnd.safeParse(query.get('volumes'))
  if (data) return data
  throw new Problem(
    'option-invalid',
    'Say what becomes of the owner’s volumes: volumes=delete or volumes=keep.',
  )
}

function actionOf({ params }: Request): PowerAction {
  const { data } = PowerAction.safeParse(params['action'])
  if (data) return data
  const known = PowerAction.options.join(', ')
  throw new Problem('route-not-found', `An owner’s machines can do ${known}; see docs/http.md.`)
}
