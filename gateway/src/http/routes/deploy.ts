import type { RequestHandler, Response } from 'express'
import { type Deployment, isFinal } from '#api/deployment.ts'
import { readOptions } from '#api/options.ts'
import { problems } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { followPages } from '../../deployments/follow.ts'
import { appParam, receiveSource } from '../body/upload.ts'
import { everything } from '../log/filter.ts'
import { defaultHeartbeatMs } from '../log/session.ts'
import { InterimProgress } from '../log/interim-progress.ts'
import { sendLog } from '../log/stream.ts'
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
    const status = answer.wait ? await verdictStatus(deployment, response, server, rightEnds) : 200
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

/**
 * The HTTP status of the end. While waiting, sends 102 Processing with each step of the deployment,
 * and as a heartbeat.
 */
async function verdictStatus(
  { id, createdAt }: Deployment,
  response: Response,
  { store, stopping, heartbeatMs = defaultHeartbeatMs }: ServerDeps,
  rightEnds: AbortSignal | null,
): Promise<number> {
  const progress = new InterimProgress(response, createdAt)
  const heartbeat = setInterval(() => progress.keepAlive(), heartbeatMs)
  const signal = AbortSignal.any([
    untilClosed(response),
    stopping,
    ...(rightEnds ? [rightEnds] : []),
  ])
  try {
    for await (const page of followPages(store, id, 0, signal)) progress.send(page)
  } finally {
    clearInterval(heartbeat)
  }
  const deployment = await store.find(id)
  if (deployment && isFinal(deployment.state)) return statusOf(deployment)
  if (rightEnds?.aborted)
    throw new Problem(
      'token-revoked',
      `The token was revoked, was replaced, or has expired. Deployment ${id} continues; read its record with a valid token.`,
      { facts: { deployment: id } },
    )
  throw new Problem(
    'stopping',
    `The gateway is stopping. Deployment ${id} continues after the restart; read its record.`,
    { facts: { deployment: id } },
  )
}

function statusOf({ state, problem }: Deployment): number {
  if (state === 'live' || state === 'built') return 200
  if (state === 'cancelled' || state === 'superseded') return problems[state].status
  return problem?.status ?? problems.internal.status
}

/** A signal that fires when either side closes the connection. */
function untilClosed(response: Response): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort()
  response.once('close', () => gone.abort())
  return gone.signal
}
