import type { RequestHandler } from 'express'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { knownQuery } from '../query.ts'

/** `GET /v1/status/disk`: see `api/status/disk/disk-history.ts`. */
export function readDiskHistory({ diskHistory }: Pick<Commands, 'diskHistory'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await diskHistory(callerOf(request)))
  }
}

/** `GET /v1/status/removals`: see `api/status/disk/removals.ts`. */
export function readRemovals({ removals }: Pick<Commands, 'removals'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await removals(callerOf(request)))
  }
}

/** `GET /v1/status`: see `api/status/status.ts`. A part that cannot be read says why. */
export function readStatus({ status }: Pick<Commands, 'status'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await status(callerOf(request)))
  }
}
