import type { Request, RequestHandler } from 'express'
import { AppName } from '#api/app.ts'
import { readOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { findRelease, previousRelease, releaseDiff, releaseView } from '../../commands/releases.ts'
import { appParam } from '../body/upload.ts'
import type { AppDeps } from '../deps.ts'
import { booleanQuery, knownQuery, pageQuery, queryOf, refuseBody, wholeNumber } from '../query.ts'
import { idempotencyKeyOf, respondAccepted } from './create-deployment.ts'

/** `GET /v1/apps/{app}/releases?owner=`: newest first. */
export function listReleases({ store }: AppDeps): RequestHandler {
  return async (request, response) => {
    const query = knownQuery(request, 'owner', 'limit', 'cursor')
    const { releases, next } = await store.releases.list(
      appParam(request),
      ownerOf(query),
      pageQuery(query),
    )
    response.json({ releases: releases.map(releaseView), next })
  }
}

/** `GET /v1/apps/{app}/releases/{number}`. */
export function readRelease({ store }: AppDeps): RequestHandler {
  return async (request, response) => void response.json(await releaseOf(store, request, 'number'))
}

/** `GET /v1/apps/{app}/releases/{from}/diff/{to}`. */
export function diffReleases({ store }: AppDeps): RequestHandler {
  return async (request, response) =>
    void response.json(
      releaseDiff(await releaseOf(store, request, 'from'), await releaseOf(store, request, 'to')),
    )
}

/** `POST /v1/apps/{app}/rollback?release=&owner=`: deploys an earlier image, config and env. */
export function rollBack({
  store,
  deployExisting,
}: Pick<AppDeps, 'store' | 'deployExisting'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    refuseBody(request)

    const query = queryOf(request)
    const number = query.has('release') ? wholeNumber('release', query.get('release')!) : null
    query.delete('release')
    const { options } = readOptions(query)
    options.trigger ??= 'rollback'

    const { number: release } = await previousRelease(store.releases, app, options.owner, number)
    const asked = { rollback: number, options }
    respondAccepted(
      response,
      await deployExisting(
        { release },
        { app, options, idempotencyKey: idempotencyKeyOf(request), asked },
      ),
    )
  }
}

/** `GET /v1/apps/{app}/drift`. */
export function readDrift({ drift }: Pick<AppDeps, 'drift'>): RequestHandler {
  return async (request, response) => void response.json(await drift(appParam(request)))
}

/** `DELETE /v1/apps/{app}?confirm={app}`. Needs `foreign=true` if the gateway did not create it. */
export function removeApp({ deleteApp }: Pick<AppDeps, 'deleteApp'>): RequestHandler {
  return async (request, response) => {
    const app = appParam(request)
    const query = knownQuery(request, 'confirm', 'foreign')
    if (query.get('confirm') !== app)
      throw new Problem(
        'option-invalid',
        `To delete the app with all its machines and volumes say confirm=${app}.`,
      )
    await deleteApp(app, booleanQuery(query, 'foreign'))
    response.status(204).end()
  }
}

const releaseOf = async (store: AppDeps['store'], request: Request, name: string) => {
  const number = wholeNumber(name, String(request.params[name]))
  return releaseView(
    await findRelease(
      store.releases,
      appParam(request),
      ownerOf(knownQuery(request, 'owner')),
      number,
    ),
  )
}

function ownerOf(query: URLSearchParams): string | null {
  const owner = query.get('owner')
  if (owner !== null && !AppName.safeParse(owner).success)
    throw new Problem(
      'option-invalid',
      'An owner is named like an app: lower-case letters, digits and dashes.',
    )
  return owner
}
