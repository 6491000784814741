import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { appParam } from '../body/upload.ts'
import { knownQuery, pageQuery, queryOf, wholeNumber } from '../query.ts'

/**
 * `GET /v1/apps/{app}/deployments`: newest first, `limit` at a time. `?key=` gives only the
 * deployment that the request with this `Idempotency-Key` made.
 */
export function listDeployments({ deployments }: Pick<Commands, 'deployments'>): RequestHandler {
  return async (request, response) => {
    const query = knownQuery(request, 'limit', 'cursor', 'key')
    const page = { ...pageQuery(query), key: query.get('key') }
    response.json(await deployments(callerOf(request), appParam(request), page))
  }
}

/** `GET /v1/deployments/{id}`: the record. Only the record gives the verdict. */
export function readDeployment({ deployment }: Pick<Commands, 'deployment'>): RequestHandler {
  return async (request, response) =>
    void response.json(await deployment(callerOf(request), String(request.params['id'])))
}

/** `GET /v1/deployments/{id}/layers`: what its image is made of. */
export function readLayersOf({ imageLayers }: Pick<Commands, 'imageLayers'>): RequestHandler {
  return async (request, response) =>
    void response.json(await imageLayers(callerOf(request), String(request.params['id'])))
}

/** The reader's last event. `Last-Event-ID`, from a browser that reconnects, wins over `after`. */
export function afterOf(request: IncomingMessage): number {
  const after = queryOf(request).get('after')
  return wholeNumber('after', request.headers['last-event-id']?.toString() || after || '0')
}
