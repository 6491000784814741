import type { Response } from 'express'
import { type Deployment, isFinal } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { followPages } from '../../deployments/follow.ts'
import type { ServerDeps } from '../deps.ts'
import { InterimProgress } from './interim-progress.ts'
import { defaultHeartbeatMs } from './session.ts'

/**
 * Waits for the end of a deployment while the caller waits for an answer. Sends 102 Processing with
 * each step, and as a heartbeat. Throws `token-revoked` or `stopping` when the wait ends before.
 */
export async function untilVerdict(
  { id, createdAt }: Pick<Deployment, 'id' | 'createdAt'>,
  response: Response,
  { store, stopping, heartbeatMs = defaultHeartbeatMs }: ServerDeps,
  rightEnds: AbortSignal | null,
): Promise<Deployment> {
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
  if (deployment && isFinal(deployment.state)) return deployment
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

/** A signal that fires when either side closes the connection. */
function untilClosed(response: Response): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort()
  response.once('close', () => gone.abort())
  return gone.signal
}
