import type { IncomingMessage, ServerResponse } from 'node:http'
import { routes } from '#api/routes.ts'
import type { ServerDeps } from './deps.ts'
import { isForEvents } from './log/log-address.ts'

/**
 * Monitors call these every few seconds, also with a token. They must not keep the gateway awake
 * for ever. `/healthz`, which Fly calls, needs no token.
 */
const looks = new Set<string>([routes.ready, routes.status])

/**
 * Keeps the gateway awake from the authorization of a request to the end of its answer. Requests
 * without a valid token do not. Readers of a log count as readers.
 */
export class HeldRequests {
  readonly #awake: ServerDeps['awake']
  readonly #responses = new WeakMap<IncomingMessage, ServerResponse>()

  constructor(awake: ServerDeps['awake']) {
    this.#awake = awake
  }

  begin(request: IncomingMessage, response: ServerResponse): void {
    this.#responses.set(request, response)
  }

  authorized(request: IncomingMessage): void {
    const response = this.#responses.get(request)
    const path = request.url?.split('?', 1)[0] ?? ''
    if (!response || response.destroyed || looks.has(path) || isForEvents(request)) return
    const hold = this.#awake.hold('requests')
    response.once('close', () => hold[Symbol.dispose]())
  }
}
