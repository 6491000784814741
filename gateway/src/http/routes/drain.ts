import type { RequestHandler } from 'express'
import { drainLimits } from '#api/status/drain.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { knownQuery, wholeNumber } from '../query.ts'

type DrainCommands = { drain: Commands['drain'] }

/** `POST /v1/drain?limit=SECONDS`: takes no new work, and ends what runs. */
export function startDrain({ drain }: DrainCommands): RequestHandler {
  return async (request, response) => {
    const limit = knownQuery(request, 'limit').get('limit') ?? String(drainLimits.usual)
    const seconds = wholeNumber('limit', limit)
    if (seconds > drainLimits.most)
      throw new Problem(
        'option-invalid',
        `The option limit is at most ${drainLimits.most} seconds (a day), not ${seconds}.`,
      )
    response.json(await drain.start(callerOf(request), seconds * 1000))
  }
}

/** `GET /v1/drain`: how far it is. */
export function readDrain({ drain }: DrainCommands): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await drain.status(callerOf(request)))
  }
}

/** `DELETE /v1/drain`: takes work again. */
export function endDrain({ drain }: DrainCommands): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    response.json(await drain.end(callerOf(request)))
  }
}
