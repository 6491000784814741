import type { RequestHandler } from 'express'
import { Problem } from '#api/problem.ts'
import type { Authorize } from '../auth.ts'
import type { ServerDeps } from '../deps.ts'

/** Milliseconds for which an answer is cached, so that many callers do not cause as many checks. */
const keptMs = 500

/** `GET /readyz`: authorized callers see each part, others only whether the gateway is ready. */
export function readReadiness(
  { readiness, stopping }: Pick<ServerDeps, 'readiness' | 'stopping'>,
  authorize: Authorize,
): RequestHandler {
  let known: ReturnType<ServerDeps['readiness']> | undefined
  const look = () => {
    if (known) return known
    const looking = readiness()
    known = looking
    const forget = () => void (known = undefined)
    looking.then(() => setTimeout(forget, keptMs).unref(), forget)
    return looking
  }
  return async (request, response) => {
    const toStranger = (ready: boolean) => {
      if (!ready) response.set('Retry-After', '5')
      response.status(ready ? 200 : 503).json({ ready })
    }

    const isKnown = await passes(authorize, request)
    if (stopping.aborted) {
      if (isKnown) throw new Problem('stopping', 'The gateway is stopping.')
      return toStranger(false)
    }

    const { ready, parts } = await look()
    if (!isKnown) return toStranger(ready)
    const unavailable = Object.entries(parts).filter(([, part]) => !part.ok)
    const detail =
      unavailable.map(([name, part]) => `${name}: ${part.detail}`).join('; ') ||
      'The gateway is starting.'
    if (!ready) throw new Problem('not-ready', detail, { facts: { ready, parts } })
    response.json({ ready, parts })
  }
}

const passes = (authorize: Authorize, request: Parameters<Authorize>[0]): Promise<boolean> =>
  authorize(request).then(
    () => true,
    () => false,
  )
