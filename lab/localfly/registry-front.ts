import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { FlyState } from './state.ts'
import { scopeOf } from './tokens.ts'

/**
 * The lab's registry with the outside of Fly's: Basic auth with user `x`, and no repository without
 * an app. Bodies stream both ways.
 */
export function registryFront(parts: { state: FlyState; token: string; registry: string }) {
  const { state, token, registry } = parts
  return (req: IncomingMessage, res: ServerResponse): void => {
    const scope = scopeOf(req.headers.authorization, token, state.deployTokens)
    const [, app] = /^\/v2\/([^/]+)\//.exec(req.url ?? '') ?? []
    if (!scope || !req.headers.authorization?.startsWith('Basic ')) {
      res.setHeader('WWW-Authenticate', 'Basic realm="registry.fly.io"')
      return refuse(res, 401, 'UNAUTHORIZED', 'authentication required')
    }
    if (app && !state.apps.has(app))
      return refuse(res, 404, 'NAME_UNKNOWN', 'app repository not found')
    if (app && scope !== 'org' && scope.app !== app)
      return refuse(res, 403, 'DENIED', 'requested access is denied')
    forward(req, res, registry)
  }
}

export function forward(req: IncomingMessage, res: ServerResponse, registry: string): void {
  const { authorization: _own, ...headers } = req.headers
  const { host = '' } = headers
  // The Host stays the front's, because the registry derives its Locations from it.
  const call = request(
    `http://${registry}${req.url}`,
    { method: req.method ?? 'GET', headers },
    (answer) => {
      const { location } = answer.headers
      if (location) answer.headers.location = location.replace(`//${registry}/`, `//${host}/`)
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, res).catch(() => res.destroy())
    },
  )
  call.on('error', (error) => {
    if (res.headersSent) res.destroy()
    else refuse(res, 502, 'UNAVAILABLE', `the registry is unreachable: ${error.message}`)
  })
  res.on('close', () => call.destroy())
  req.pipe(call)
}

function refuse(res: ServerResponse, status: number, code: string, message: string): void {
  res.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  res.end(JSON.stringify({ errors: [{ code, message }] }))
}
