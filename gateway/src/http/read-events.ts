import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { routes } from '#api/routes.ts'
import { accessLog } from './access-log.ts'
import { authorizer } from './authorize.ts'
import type { HttpParts } from './http-app.ts'
import { filterOf, type LogFilter } from './log-filter.ts'
import { sendProblem } from './problem.ts'
import { afterOf, findLog } from './read-deployments.ts'
import { forms, type LogType, sendLog } from './send-log.ts'

const address = new RegExp(`^${routes.events.replace(':id', '([^/]+)')}$`)

/**
 * `GET /v1/deployments/{id}/events`: the log from `after` on, in the form that `Accept` names. Not by Express: what that
 * keeps of a request would be held for as long as its reader stays. False when the request is for something else.
 */
export function eventsReader(parts: HttpParts): (request: IncomingMessage, response: ServerResponse) => boolean {
  const admit = readerGate(parts)
  const noteAccess = accessLog(parts.log, parts.stopping)
  const read = async (request: IncomingMessage, response: ServerResponse) => {
    const { deployment, after, filter } = await admit(request)
    const { id, app, createdAt, state } = deployment
    const wish = { after, filter, type: typeOf(request) }
    sendLog(response, parts, { id, app, createdAt, state }, wish)
  }
  return (request, response) => {
    if (request.method !== 'GET' || !address.test(pathOf(request))) return false
    noteAccess(request, response, () => {})
    read(request, response).catch((error: unknown) => sendProblem(request, response, error, parts.log))
    return true
  }
}

/** Who may read a log, and what of it is asked for. */
export function readerGate({ tokens, store }: Pick<HttpParts, 'tokens' | 'store'>) {
  const authorize = authorizer(tokens)
  return async (request: IncomingMessage): Promise<{ deployment: Deployment; after: number; filter: LogFilter }> => {
    authorize(request)
    const id = address.exec(pathOf(request))?.[1]
    if (id === undefined) throw new Problem('route-not-found', 'There is no log at this address.')
    return { deployment: await findLog(store, id), after: afterOf(request), filter: filterOf(request) }
  }
}

const pathOf = ({ url = '' }: IncomingMessage) => url.split('?', 1)[0]!

/** The first of the forms that the request accepts. */
function typeOf({ headers: { accept = '*/*' } }: IncomingMessage): LogType {
  const accepted = accept.split(',').map((each) => each.split(';', 1)[0]!.trim().toLowerCase())
  const names = Object.keys(forms) as LogType[]
  const type =
    names.find((name) => accepted.includes(name)) ??
    (accepted.some((each) => /^(\*|text)\/\*$/.test(each)) ? names[0] : undefined)
  if (type) return type
  throw new Problem('request-invalid', `The log comes as ${names.join(', ')}: name one in Accept.`)
}
