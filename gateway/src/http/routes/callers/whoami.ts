import type { RequestHandler } from 'express'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { knownQuery } from '../../query.ts'

/** `GET /v1/whoami`: who the caller is for this gateway, and what it may do. */
export function readWhoami({ whoami }: Pick<Commands, 'whoami'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await whoami(callerOf(request)))
  }
}
