import type { IncomingMessage, ServerResponse } from 'node:http'
import { routes } from '#api/routes.ts'
import { callerOf } from './auth.ts'
import type { ServerDeps } from './deps.ts'

/**
 * Counts each request of a caller, and puts what is left into the head of its answer. Throws
 * `quota-reached`. To read the limits is free: a caller that is refused wants to know why.
 */
export function requestAdmission(
  admission: Pick<ServerDeps['admission'], 'request' | 'fieldsFor'>,
  answers: WeakMap<IncomingMessage, ServerResponse>,
): (request: IncomingMessage) => void {
  return (request) => {
    const caller = callerOf(request)
    try {
      if (request.url?.split('?', 1)[0] !== routes.limits) admission.request(caller)
    } finally {
      // A WebSocket has no such answer.
      const answer = answers.get(request)
      for (const [name, value] of Object.entries(admission.fieldsFor(caller)))
        answer?.setHeader(name, value)
    }
  }
}
