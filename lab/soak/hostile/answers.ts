import type { Deployment } from '#api/deployment.ts'
import { fill, routes } from '#api/routes.ts'
import type { Lab } from '../../start-lab.ts'

/**
 * An attack may be refused, or end as a failure of its own source. `wrong` names any other result.
 */
export type Outcome = { answer: string; wrong?: string }

type Call = {
  headers?: Record<string, string>
  body?: Uint8Array<ArrayBuffer>
  signal?: AbortSignal
}
type At = Pick<Lab, 'gateway' | 'token'>
const endMs = 300_000

/** Uploads an archive and waits for the end of its deployment. */
export async function deployHostile(
  lab: At,
  app: string,
  body: Buffer,
  query = '',
): Promise<Outcome> {
  const answer = await call(lab, 'PUT', `/deploy/${app}?follow=false&${query}`, {
    body: new Uint8Array(body),
  })
  const record = (await answer.json()) as Deployment & { code?: string }
  if (answer.status !== 202) return judged(answer.status, record.code ?? 'no code')
  const { state, problem } = await ended(lab, record.id)
  return problem ? judged(problem.status, problem.code, problem.fault) : { answer: state }
}

/** The record of a deployment that has ended. */
export async function ended(lab: At, id: string): Promise<Deployment> {
  const signal = AbortSignal.timeout(endMs)
  const headers = { accept: 'application/x-ndjson' }
  const events = await call(lab, 'GET', `${fill(routes.events, { id })}?only=state`, {
    headers,
    signal,
  })
  await events.text()
  return (await (await call(lab, 'GET', fill(routes.deployment, { id }))).json()) as Deployment
}

export function call(lab: At, method: string, path: string, more: Call = {}): Promise<Response> {
  const headers = {
    authorization: `Bearer ${lab.token}`,
    accept: 'application/json',
    ...more.headers,
  }
  return fetch(lab.gateway + path, { method, signal: AbortSignal.timeout(endMs), ...more, headers })
}

/** A failure that is not the sender's fault is wrong, because its own input caused it. */
function judged(status: number, code: string, fault?: string): Outcome {
  const answer = `${status} ${code}`
  const isOwn = status < 500 || fault === 'source'
  return isOwn && code !== 'internal' ? { answer } : { answer, wrong: `answered ${answer}` }
}
