import type { RequestHandler } from 'express'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { knownQuery, pageQuery } from '../../query.ts'
import { readCancelRequest } from '../cancel-deployment.ts'

/** `GET /v1/rollouts`: newest first, `limit` at a time. */
export function listRollouts({ rollouts }: Pick<Commands, 'rollouts'>): RequestHandler {
  return async (request, response) =>
    void response.json(
      await rollouts(
        callerOf(request),
        pageQuery(knownQuery(request, 'limit', 'cursor'), /^[\da-f-]{1,50}$/),
      ),
    )
}

/** `POST /v1/rollouts/{id}/cancel?by=&why=&abort=true`: 200 if ended, 202 if still stopping. */
export function cancelRollout(commands: Pick<Commands, 'cancelRollout'>): RequestHandler {
  return async (request, response) => {
    const id = String(request.params['id'])
    const rollout = await commands.cancelRollout(callerOf(request), id, readCancelRequest(request))
    response.status(rollout.endedAt === null ? 202 : 200).json(rollout)
  }
}

/** `GET /v1/rollouts/{id}`. */
export function readRolloutRecord({ rollout }: Pick<Commands, 'rollout'>): RequestHandler {
  return async (request, response) =>
    void response.json(await rollout(callerOf(request), String(request.params['id'])))
}
