import type { Request, RequestHandler } from 'express'
import { AppName } from '#api/app.ts'
import { readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { appParam } from '../body/upload.ts'
import {
  booleanQuery,
  knownNames,
  knownQuery,
  pageQuery,
  queryOf,
  refuseBody,
  wholeNumber,
} from '../query.ts'
import { idempotencyKeyOf, respondAccepted } from './create-deployment.ts'

/** `GET /v1/apps/{app}/releases?owner=`: newest first. */
export function listReleases({ releases }: Pick<Commands, 'releases'>): RequestHandler {
  return async (request, response) => {
    const query = knownQuery(request, 'owner', 'limit', 'cursor')
    const target = { app: appParam(request), owner: ownerOf(query) }
    response.json(await releases(callerOf(request), target, pageQuery(query)))
  }
}

/** `GET /v1/apps/{app}/releases/{number}`. */
export function readRelease({ release }: Pick<Commands, 'release'>): RequestHandler {
  return async (request, response) =>
    void response.json(
      await release(callerOf(request), targetOf(request), numberOf(request, 'number')),
    )
}

/** `GET /v1/apps/{app}/releases/{from}/diff/{to}`. */
export function diffReleases({ releaseDiff }: Pick<Commands, 'releaseDiff'>): RequestHandler {
  return async (request, response) => {
    const [from, to] = [numberOf(request, 'from'), numberOf(request, 'to')]
    response.json(await releaseDiff(callerOf(request), targetOf(request), from, to))
  }
}

/** `POST /v1/apps/{app}/rollback?release=&owner=`: deploys an earlier image, config and env. */
export function rollBack({ rollback }: Pick<Commands, 'rollback'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    refuseBody(request)

    const query = queryOf(request)
    const release = query.has('release') ? wholeNumber('release', query.get('release')!) : null
    query.delete('release')
    const { options } = readOptions(query)
    const rollbackRequest = { app, release, options, idempotencyKey: idempotencyKeyOf(request) }
    respondAccepted(response, await rollback(callerOf(request), rollbackRequest))
  }
}

/** `DELETE /v1/apps/{app}?confirm={app}`. Needs `foreign=true` if the gateway did not create it. */
export function removeApp({ deleteApp }: Pick<Commands, 'deleteApp'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const query = knownQuery(request, 'confirm', 'foreign')
    const asked = { confirm: query.get('confirm'), foreign: booleanQuery(query, 'foreign') }
    await deleteApp(callerOf(request), app, asked)
    response.status(204).end()
  }
}

/** The app of the path, and the owner of the query if it names one. For calls without a body. */
export function targetOf(request: Request) {
  refuseBody(request)
  return targetInQuery(request)
}

/** The same for calls with a body. */
export const targetInQuery = (request: Request) => ({
  app: appParam(request),
  owner: ownerOf(knownNames(queryOf(request), 'owner')),
})

const numberOf = (request: Request, name: string): number =>
  wholeNumber(name, String(request.params[name]))

function ownerOf(query: URLSearchParams): string | null {
  const owner = query.get('owner')
  if (owner !== null && !AppName.safeParse(owner).success)
    throw new Problem(
      'option-invalid',
      'An owner is named like an app: lower-case letters, digits and dashes.',
    )
  return owner
}
