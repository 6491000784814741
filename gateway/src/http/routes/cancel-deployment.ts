import type { Request, RequestHandler } from 'express'
import { type NewCancelRequest, isFinal } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { booleanQuery, knownQuery } from '../query.ts'

const words = /^[^\p{Cc}]{0,200}$/u

/** `POST /v1/deployments/{id}/cancel?by=&why=&abort=true`: 200 if ended, 202 if still stopping. */
export function cancelDeployment({ cancel }: Pick<Commands, 'cancel'>): RequestHandler {
  return async (request, response) => {
    const deployment = await cancel(
      callerOf(request),
      String(request.params['id']),
      readCancelRequest(request),
    )
    response.status(isFinal(deployment.state) ? 200 : 202).json(deployment)
  }
}

/** Reads who requests the cancel, why, and whether to restore machines that were changed. */
export function readCancelRequest(request: Request): NewCancelRequest {
  const query = knownQuery(request, 'by', 'why', 'abort')
  const text = (name: string) => {
    const value = query.get(name)
    if (!words.test(value ?? ''))
      throw new Problem('option-invalid', `${name} is one line of at most 200 characters.`)
    return value || null
  }
  return { by: text('by'), why: text('why'), abort: booleanQuery(query, 'abort') }
}
