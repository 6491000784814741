import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { assertLogKept } from '../deployments/follow.ts'
import type { HttpParts } from './http-app.ts'
import { appOf, queryOf } from './receive-source.ts'

type Store = Pick<HttpParts, 'store'>

/** `GET /v1/apps/{app}/deployments`: newest first, `limit` at a time. */
export function listDeployments({ store }: Store): RequestHandler {
  return async (request, response) => void response.json(await store.list(appOf(request), pageOf(queryOf(request))))
}

/** Which page of a list is asked for. */
export function pageOf(query: URLSearchParams): { limit: number; before: string | null } {
  const before = query.get('cursor')
  if (before !== null && !/^[\w-]{1,100}$/.test(before)) throw notNumber('cursor', 'the `next` of the page before')
  const limit = wholeNumber('limit', query.get('limit') ?? '20')
  if (limit < 1 || limit > 100) throw notNumber('limit', 'a number from 1 to 100')
  return { limit, before }
}

/** `GET /v1/deployments/{id}`: the record, which alone gives the verdict. */
export function readDeployment({ store }: Store): RequestHandler {
  return async (request, response) => void response.json(await findOr404(store, String(request.params['id'])))
}

export async function findOr404(store: HttpParts['store'], id: string): Promise<Deployment> {
  const deployment = await store.find(id)
  if (!deployment) throw new Problem('deployment-not-found', `There is no deployment ${id.slice(0, 100)}.`)
  return deployment
}

/** The same, while its log is kept. */
export async function findLog(store: HttpParts['store'], id: string): Promise<Deployment> {
  const deployment = await findOr404(store, id)
  assertLogKept(deployment)
  return deployment
}

/** The number of the last event that the reader has: what a browser says when it comes back counts more than the address. */
export function afterOf({ url, headers }: IncomingMessage): number {
  const asked = new URL(url ?? '', 'http://gateway').searchParams.get('after')
  return wholeNumber('after', headers['last-event-id']?.toString() || asked || '0')
}

export function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw notNumber(name, 'a whole number')
  return Number(value)
}

const notNumber = (name: string, what: string) => new Problem('option-invalid', `The option ${name} is ${what}.`)
