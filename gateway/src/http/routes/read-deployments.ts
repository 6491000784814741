import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { assertLogKept } from '../../deployments/follow.ts'
import { appParam } from '../body/upload.ts'
import type { HttpDeps } from '../deps.ts'
import { knownQuery, pageQuery, queryOf, wholeNumber } from '../query.ts'

type Store = Pick<HttpDeps, 'store'>

/** `GET /v1/apps/{app}/deployments`: newest first, `limit` at a time. */
export function listDeployments({ store }: Store): RequestHandler {
  return async (request, response) =>
    void response.json(
      await store.list(appParam(request), pageQuery(knownQuery(request, 'limit', 'cursor'))),
    )
}

/** `GET /v1/deployments/{id}`: the record. Only the record gives the verdict. */
export function readDeployment({ store }: Store): RequestHandler {
  return async (request, response) =>
    void response.json(await findOr404(store, String(request.params['id'])))
}

export async function findOr404(store: HttpDeps['store'], id: string): Promise<Deployment> {
  const deployment = await store.find(id)
  if (!deployment)
    throw new Problem('deployment-not-found', `There is no deployment ${id.slice(0, 100)}.`)
  return deployment
}

/** Finds a deployment. Throws `log-dropped` if its log is no longer kept. */
export async function findLog(store: HttpDeps['store'], id: string): Promise<Deployment> {
  const deployment = await findOr404(store, id)
  assertLogKept(deployment)
  return deployment
}

/** The reader's last event. `Last-Event-ID`, from a browser that reconnects, wins over `after`. */
export function afterOf(request: IncomingMessage): number {
  const asked = queryOf(request).get('after')
  return wholeNumber('after', request.headers['last-event-id']?.toString() || asked || '0')
}
