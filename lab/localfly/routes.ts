import { randomUUID } from 'node:crypto'
import express, { type ErrorRequestHandler, type Request, type Response } from 'express'
import type { z } from 'zod'
import { FlyError } from './fly-error.ts'
import type { FlySchema } from './fly-schema.ts'
import { gate } from './leases.ts'
import type { RequestLimits } from './limits.ts'
import { foreignOrg } from './org-pages.ts'
import type { App, FlyState, Machine } from './state.ts'
import { type Scope, scopeOf } from './tokens.ts'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
/** One request as a handler sees it. The app and the machine of the path are already found. */
export type Call = {
  app: App
  machine: Machine
  scope: Scope
  params: Record<string, string>
  query: URLSearchParams
  /** Empty when the request had none. */
  body: Record<string, unknown>
  hasBody: boolean
  nonce: string | undefined
  signal: AbortSignal
}
/**
 * Returns the body of the answer, JSON unless it is a string. The status comes from Fly's document.
 */
export type Handler = (call: Call) => unknown
type Answer = { status: number; body?: unknown }

/** `{"ok":true}`, Fly's answer to most mutations. */
export const ok = { ok: true }
export const machinePath = '/apps/:app/machines/:id'
const forAnyToken = new Set(['/platform/regions', '/platform/placements', '/tokens/current'])

/**
 * Registers the calls of the Machines API with authorisation, request limits, lookup, and a check
 * of the answer against Fly's document.
 */
export class Routes {
  readonly api = express()
  readonly #deps: { state: FlyState; token: string; limits: RequestLimits; schema: FlySchema }

  constructor(parts: { state: FlyState; token: string; limits: RequestLimits; schema: FlySchema }) {
    this.#deps = parts
    this.api.disable('x-powered-by')
    this.api.use((_req, res, next) => {
      res.set('fly-request-id', `${randomUUID()}-lab`)
      next()
    })
    this.api.use(express.json({ type: () => true, strict: false, limit: '4mb' }))
  }

  on(method: Method, path: string, handler: Handler): void {
    const action = path === machinePath ? `${method} machine` : `${method} ${path}`
    const { state, token, limits, schema } = this.#deps
    const status = schema.successOf(method, path)
    this.api[method](`/v1${path}`, async (req: Request, res: Response) => {
      const answer = await this.#answer(async () => {
        const params = req.params as Record<string, string>
        const scope = scopeOf(req.headers.authorization, token, state.deployTokens)
        if (!scope) throw new FlyError(401, 'Authenticate: token validation error')
        if (scope !== 'org' && scope.app !== params['app'] && !forAnyToken.has(path))
          throw new FlyError(403, 'unauthorized')
        const gone = new AbortController()
        res.on('close', () => gone.abort())
        // flyctl sends commands in direct succession. It must not fail here on Fly's own limits.
        const patience = req.get('user-agent')?.startsWith('flyctl/') ? gone.signal : null
        if (!(await limits.pass(action, params['id'] ?? params['app'] ?? 'org', patience)))
          throw new FlyError(429, 'rate limit exceeded')
        if (Array.isArray(req.body))
          throw new FlyError(400, 'json: cannot unmarshal array into Go value')
        const { app, id } = params
        const body = await handler({
          app: app === undefined ? (undefined as never) : this.#app(app),
          machine: id === undefined ? (undefined as never) : this.#machine(app!, id),
          scope,
          params,
          query: new URL(req.url, 'http://fly').searchParams,
          body: (req.body ?? {}) as Record<string, unknown>,
          hasBody: req.body !== undefined && req.get('content-length') !== '0',
          nonce: req.get('fly-machine-lease-nonce'),
          signal: gone.signal,
        })
        return { status, body }
      })
      schema.check(method, path, answer.status, answer.body)
      res.status(answer.status)
      if (answer.body === undefined) res.end()
      else if (typeof answer.body === 'string') res.type('application/x-ndjson').send(answer.body)
      else res.json(answer.body)
    })
  }

  /**
   * Registers a call that changes a machine. It is refused without the nonce when there is a lease.
   */
  change(method: Method, path: string, handler: Handler): void {
    this.on(method, path, (call) => {
      if (call.machine.state === 'destroyed')
        throw new FlyError(404, `not_found: machine not found, '${call.params['id']}'`)
      gate(call.machine, call.nonce)
      return handler(call)
    })
  }

  /** Handles unknown routes, and errors that are not Fly's. */
  end(): void {
    this.api.use((_req, res) => void res.status(404).json({ error: 'not found' }))
    this.api.use(showError)
  }

  async #answer(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof FlyError)) throw error
      const { httpStatus, message, status } = error
      return { status: httpStatus, body: { error: message, ...(status && { status }) } }
    }
  }

  #app(name: string): App {
    const app = this.#deps.state.apps.get(name)
    if (!app) throw new FlyError(404, `app not found: "${name}"`)
    if (app.org_slug === foreignOrg) throw new FlyError(403, 'unauthorized')
    return app
  }

  #machine(app: string, id: string): Machine {
    const machine = this.#deps.state.machines.get(id)
    if (machine?.own.app !== app)
      throw new FlyError(404, `not_found: machine not found, invalid machine ID, '${id}'`)
    return machine
  }
}

export function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new FlyError(400, `invalid_argument: ${issue?.path.join('.')}: ${issue?.message}`)
}

const showError: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
  const { status, message } = error as Error & { status?: number }
  if (status === undefined) console.error('localfly:', error)
  res.status(status ?? 500).json({ error: message })
}
