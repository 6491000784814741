import type { RequestHandler } from 'express'
import type { Deployment } from '#api/deployment.ts'
import { readOptions } from '#api/options.ts'
import { problems } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { appParam, receiveSource } from '../body/upload.ts'
import { everything } from '../log/filter.ts'
import { sendLog } from '../log/stream.ts'
import { untilVerdict } from '../log/until-verdict.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf, rightEndsOf } from '../auth.ts'
import type { ServerDeps } from '../deps.ts'
import { queryOf } from '../query.ts'
import { idempotencyKeyOf, respondAccepted } from './create-deployment.ts'

/** `PUT /deploy/{app}`, for a shell: takes an archive and follows the log to the verdict. */
export function deployAndFollow(
  commands: Pick<Commands, 'submit' | 'refuseBusyLane'>,
  server: ServerDeps,
): RequestHandler {
  return async (request, response) => {
    const caller = callerOf(request)
    const app = appParam(request)
    const query = [...queryOf(request)]
    const { options: announced } = readQuery(query)
    const idempotencyKey = idempotencyKeyOf(request)
    await commands.refuseBusyLane(caller, { app, options: announced, idempotencyKey })

    const { source, fields, secrets } = await receiveSource(request, response, server)
    const { options, answer } = readQuery([...query, ...fields])
    const deployment = await commands.submit(caller, {
      app,
      options,
      source,
      secrets,
      idempotencyKey,
    })

    if (answer.follow === false) return respondAccepted(response, deployment)
    response.location(fill(routes.deployment, { id: deployment.id }))
    const rightEnds = rightEndsOf(request)
    const status = answer.wait
      ? statusOf(await untilVerdict(deployment, response, server, rightEnds))
      : 200
    sendLog(response.status(status), server, deployment, {
      after: 0,
      type: 'text/plain',
      filter: everything,
      rightEnds,
    })
  }
}

function readQuery(fields: [string, string][]) {
  const query = readOptions(fields, ['wait', 'follow'])
  if (query.answer.wait && query.answer.follow === false)
    throw new Problem(
      'option-invalid',
      'wait=true and follow=false exclude each other; choose one.',
    )
  return query
}

function statusOf({ state, problem }: Deployment): number {
  if (state === 'live' || state === 'built') return 200
  if (state === 'cancelled' || state === 'superseded') return problems[state].status
  return problem?.status ?? problems.internal.status
}
