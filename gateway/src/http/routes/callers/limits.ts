import type { RequestHandler } from 'express'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { knownQuery } from '../../query.ts'

/** `GET /v1/limits`: what the caller may use, and has used. */
export function readLimits({ limits }: Pick<Commands, 'limits'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await limits.read(callerOf(request)))
  }
}
