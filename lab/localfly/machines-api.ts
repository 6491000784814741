import { randomBytes, randomUUID } from 'node:crypto'
import { constants } from 'node:os'
import express, { type ErrorRequestHandler, type Request, type Response } from 'express'
import { z } from 'zod'
import { FlyError } from './fly-error.ts'
import type { Flyd, Stop } from './flyd.ts'
import { acquireLease, currentLease, gate, releaseLease } from './leases.ts'
import { RequestLimits } from './limits.ts'
import { Launch } from './machine-config.ts'
import type { App, FlyState, IpAssignment, Machine } from './state.ts'
import { scopeOf } from './tokens.ts'
import { readWait, waitFor } from './wait.ts'

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
/** One request as a handler sees it: the app and the machine of the path are looked up before. */
type Call = {
  app: App
  machine: Machine
  params: Record<string, string>
  query: URLSearchParams
  body: Record<string, unknown>
  nonce: string | undefined
  signal: AbortSignal
}
type Answer = { status: number; body?: unknown }

/** `{"ok":true}`, Fly's answer to most mutations. */
const ok = { status: 200, body: { ok: true } }

/** The Machines API: apps, machines, leases, metadata and addresses, in Fly's shapes and codes. */
export function machinesApi(parts: { state: FlyState; flyd: Flyd; token: string; limits: boolean }) {
  const { state, flyd, token } = parts
  const limits = new RequestLimits()
  const api = express()
  api.disable('x-powered-by')
  api.use((_req, res, next) => {
    res.set('fly-request-id', `${randomUUID()}-lab`)
    next()
  })
  api.use(express.json({ type: () => true, strict: false, limit: '4mb' }))

  const on = (method: Method, path: string, handler: (call: Call) => Answer | Promise<Answer>) => {
    const action = path === machinePath ? `${method} machine` : `${method} ${path}`
    api[method](`/v1${path}`, async (req: Request, res: Response) => {
      const params = req.params as Record<string, string>
      const scope = scopeOf(req.headers.authorization, token, state.deployTokens)
      if (!scope) throw new FlyError(401, 'Authenticate: token validation error')
      if (scope !== 'org' && scope.app !== params['app']) throw new FlyError(403, 'unauthorized')
      if (parts.limits && !limits.take(action, params['id'] ?? params['app'] ?? 'org'))
        throw new FlyError(429, 'rate limit exceeded')
      if (Array.isArray(req.body)) throw new FlyError(400, 'json: cannot unmarshal array into Go value')
      const gone = new AbortController()
      res.on('close', () => gone.abort())
      const { app, id } = params
      const answer = await handler({
        app: app === undefined ? (undefined as never) : findApp(app),
        machine: id === undefined ? (undefined as never) : findMachine(app!, id),
        params,
        query: new URL(req.url, 'http://fly').searchParams,
        body: (req.body ?? {}) as Record<string, unknown>,
        nonce: req.get('fly-machine-lease-nonce'),
        signal: gone.signal,
      })
      res.status(answer.status)
      if (answer.body === undefined) res.end()
      else res.json(answer.body)
    })
  }
  /** A call that changes a machine: refused without the nonce where there is a lease. */
  const change = (method: Method, path: string, handler: (call: Call) => Answer | Promise<Answer>) =>
    on(method, path, (call) => {
      if (call.machine.state === 'destroyed')
        throw new FlyError(404, `not_found: machine not found, '${call.params['id']}'`)
      gate(call.machine, call.nonce)
      return handler(call)
    })
  const findApp = (name: string): App => {
    const app = state.apps.get(name)
    if (!app) throw new FlyError(404, `app not found: "${name}"`)
    return app
  }
  const findMachine = (app: string, id: string): Machine => {
    const machine = state.machines.get(id)
    if (machine?.own.app !== app) throw new FlyError(404, `not_found: machine not found, invalid machine ID, '${id}'`)
    return machine
  }
  const machinePath = '/apps/:app/machines/:id'

  on('get', '/apps', ({ query }) => {
    const org = query.get('org_slug')
    if (!org) throw new FlyError(400, 'invalid_argument: org_slug is required')
    const apps = [...state.apps.values()].filter((app) => app.org_slug === org).map((app) => showApp(state, app))
    return { status: 200, body: { total_apps: apps.length, apps } }
  })
  on('post', '/apps', ({ body }) => {
    const wish = parse(NewApp, body)
    const name = wish.name ?? wish.app_name ?? ''
    if (!/^[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(name))
      throw new FlyError(422, 'Validation failed: Name may only contain lower-case letters, numbers and dashes')
    if (state.apps.has(name)) throw new FlyError(422, 'Validation failed: Name has already been taken', 'name_taken')
    const app: App = {
      id: randomBytes(8).toString('hex'),
      name,
      org_slug: wish.org_slug,
      network: wish.network || 'default',
      internal_numeric_id: state.apps.size + 1,
      created_at: Date.now(),
      ips: [],
    }
    state.apps.set(name, app)
    state.save()
    return { status: 201, body: { id: app.id, created_at: app.created_at } }
  })
  on('get', '/apps/:app', ({ app }) => ({ status: 200, body: showApp(state, app) }))
  on('delete', '/apps/:app', ({ app }) => {
    for (const machine of state.machinesOf(app.name)) flyd.destroy(machine, true)
    state.apps.delete(app.name)
    for (const [known, scope] of state.deployTokens) if (scope === app.name) state.deployTokens.delete(known)
    state.save()
    return { status: 202 }
  })
  on('post', '/apps/:app/deploy_token', ({ app }) => {
    const made = `FlyV1 fm2_${randomBytes(24).toString('base64url')}`
    state.deployTokens.set(made, app.name)
    state.save()
    return { status: 200, body: { token: made } }
  })

  on('get', '/apps/:app/ip_assignments', ({ app }) => ({ status: 200, body: { ips: app.ips } }))
  on('post', '/apps/:app/ip_assignments', ({ app, body }) => {
    const ip = newIp(app, parse(NewIp, body))
    app.ips.push(ip)
    state.save()
    return { status: 200, body: ip }
  })
  on('delete', '/apps/:app/ip_assignments/:ip', ({ app, params }) => {
    if (!app.ips.some(({ ip }) => ip === params['ip'])) throw new FlyError(404, 'not_found: ip assignment not found')
    app.ips = app.ips.filter(({ ip }) => ip !== params['ip'])
    state.save()
    return { status: 204 }
  })

  on('get', '/apps/:app/machines', ({ app, query }) => {
    const all = [...state.machines.values()].filter((machine) => machine.own.app === app.name)
    const machines = all.filter((machine) => isListed(machine, query))
    return { status: 200, body: machines.map(showMachine) }
  })
  on('post', '/apps/:app/machines', ({ app, body }) => {
    const launch = parse(Launch, body)
    const machine = flyd.create(app.name, launch)
    if (!launch.lease_ttl) return { status: 200, body: showMachine(machine) }
    const { nonce } = acquireLease(machine, { ttlSeconds: launch.lease_ttl }, undefined)
    return { status: 200, body: { ...showMachine(machine), nonce } }
  })
  on('get', machinePath, ({ machine }) => ({ status: 200, body: showMachine(machine) }))
  change('post', machinePath, ({ machine, body }) => {
    flyd.update(machine, parse(Launch, body))
    return { status: 200, body: showMachine(machine) }
  })
  change('delete', machinePath, ({ machine, query }) => {
    flyd.destroy(machine, query.get('force') === 'true' || query.get('kill') === 'true')
    return ok
  })
  change('post', `${machinePath}/start`, ({ machine }) => {
    const previous = flyd.start(machine)
    return { status: 200, body: { previous_state: previous, migrated: false, new_host: '' } }
  })
  change('post', `${machinePath}/stop`, ({ machine, body }) => {
    flyd.stop(machine, readStop(body['signal'], body['timeout']))
    return ok
  })
  change('post', `${machinePath}/restart`, ({ machine, query }) => {
    const signal = query.get('force_stop') === 'true' ? 'SIGKILL' : (query.get('signal') ?? undefined)
    flyd.restart(machine, readStop(signal, query.get('timeout') ?? undefined))
    return ok
  })
  change('post', `${machinePath}/suspend`, ({ machine }) => {
    flyd.suspend(machine)
    return ok
  })
  change('post', `${machinePath}/signal`, async ({ machine, body }) => {
    await flyd.signal(machine, readSignal(body['signal']))
    return ok
  })
  for (const cordoned of [true, false])
    change('post', `${machinePath}/${cordoned ? 'cordon' : 'uncordon'}`, ({ machine }) => {
      machine.cordoned = cordoned
      state.save(machine)
      return ok
    })
  on('get', `${machinePath}/wait`, async ({ machine, query, signal }) => ({
    status: 200,
    body: await waitFor(state, machine, readWait(query), signal),
  }))
  on('get', `${machinePath}/versions`, ({ machine }) => ({ status: 200, body: machine.own.versions }))
  on('get', `${machinePath}/events`, ({ machine, query }) => {
    const limit = Number(query.get('limit') ?? 20)
    if (!(limit >= 1 && limit <= 50)) throw new FlyError(400, 'invalid_argument: limit must be between 1 and 50')
    return { status: 200, body: machine.events.slice(0, limit) }
  })

  on('get', `${machinePath}/lease`, ({ machine }) => {
    const lease = currentLease(machine)
    if (!lease) throw new FlyError(404, 'not_found: lease not found')
    const { nonce: _secret, ...shown } = lease
    return { status: 200, body: { status: 'success', data: shown } }
  })
  on('post', `${machinePath}/lease`, ({ machine, query, body, nonce }) => {
    const ttlSeconds = Number(query.get('ttl') ?? body['ttl'] ?? 30)
    if (!(ttlSeconds >= 1)) throw new FlyError(400, 'invalid_argument: ttl must be at least 1')
    const { description } = body
    const wish = { ttlSeconds, ...(typeof description === 'string' && { description }) }
    const lease = acquireLease(machine, wish, nonce)
    state.save()
    return { status: 201, body: { status: 'success', data: lease } }
  })
  on('delete', `${machinePath}/lease`, ({ machine, nonce }) => {
    releaseLease(machine, nonce)
    state.save()
    return { status: 200, body: { status: 'success', data: { ok: true } } }
  })

  on('get', `${machinePath}/metadata`, ({ machine }) => ({ status: 200, body: machine.config.metadata ?? {} }))
  for (const method of ['put', 'patch'] as const)
    on(method, `${machinePath}/metadata`, ({ machine, body }) => {
      const wish = parse(NewMetadata, body)
      if (wish.machine_version && wish.machine_version !== machine.instance_id)
        throw new FlyError(412, `failed_precondition: machine version is ${machine.instance_id}`)
      writeMetadata(state, machine, method === 'put' ? {} : machine.config.metadata, wish.metadata)
      return { status: 204 }
    })
  on('get', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    const value = machine.config.metadata?.[params['key']!]
    if (value === undefined) throw new FlyError(404, 'not_found: metadata key not found')
    return { status: 200, body: { value } }
  })
  on('post', `${machinePath}/metadata/:key`, ({ machine, params, body }) => {
    writeMetadata(state, machine, machine.config.metadata, { [params['key']!]: parse(MetadataValue, body).value })
    return { status: 204 }
  })
  on('delete', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    writeMetadata(state, machine, machine.config.metadata, { [params['key']!]: null })
    return { status: 204 }
  })

  api.use((_req, res) => void res.status(404).json({ error: 'not found' }))
  api.use(showError)
  return api
}

const NewApp = z.object({
  name: z.string().optional(),
  app_name: z.string().optional(),
  org_slug: z.string().min(1),
  network: z.string().optional(),
})
const NewIp = z.object({
  type: z.enum(['v4', 'v6', 'shared_v4', 'private_v6']),
  region: z.string().nullish(),
  service_name: z.string().nullish(),
})
const NewMetadata = z.object({
  metadata: z.record(z.string(), z.string().nullable()),
  machine_version: z.string().optional(),
})
const MetadataValue = z.object({ value: z.string() })

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new FlyError(400, `invalid_argument: ${issue?.path.join('.')}: ${issue?.message}`)
}

function readStop(signal: unknown, timeout: unknown): Stop {
  const isDuration = typeof timeout === 'string' || typeof timeout === 'number'
  return { signal: signal ? readSignal(signal) : undefined, timeout: isDuration ? timeout : undefined }
}

/** A signal by name or number, if Fly allows it. */
function readSignal(signal: unknown): string {
  const allowed = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGUSR1', 'SIGUSR2', 'SIGTERM'] as const
  const name = allowed.find((each) => each === signal || constants.signals[each] === Number(signal))
  if (!name) throw new FlyError(400, `invalid_argument: invalid signal: ${String(signal)}`)
  return name
}

function showApp(state: FlyState, app: App) {
  const { ips: _ips, created_at: _at, org_slug: slug, ...shown } = app
  const { length } = state.machinesOf(app.name)
  const organization = { name: slug, slug, internal_numeric_id: 1 }
  const counts = { machine_count: length, volume_count: 0 }
  return { ...shown, ...counts, organization, status: length > 0 ? 'deployed' : 'pending', app_role: '' }
}

const eventsShown = 20

function showMachine(machine: Machine) {
  const { own: _own, ...shown } = machine
  return { ...shown, version: machine.instance_id, events: machine.events.slice(0, eventsShown) }
}

function isListed(machine: Machine, query: URLSearchParams): boolean {
  const states = query.get('state')?.split(',')
  const region = query.get('region')
  if (
    states ? !states.includes(machine.state) : machine.state === 'destroyed' && query.get('include_deleted') !== 'true'
  ) {
    return false
  }
  if (region && region !== machine.region) return false
  return [...query].every(
    ([name, value]) =>
      !name.startsWith('metadata.') || machine.config.metadata?.[name.slice('metadata.'.length)] === value,
  )
}

/** Null and "" take a key away. */
function writeMetadata(
  state: FlyState,
  machine: Machine,
  old: Record<string, string> | null | undefined,
  more: Record<string, string | null>,
): void {
  const entries = Object.entries({ ...old, ...more }).filter((entry): entry is [string, string] => Boolean(entry[1]))
  machine.config = { ...machine.config, metadata: Object.fromEntries(entries) }
  state.save(machine)
}

/** Addresses out of the ranges for documentation, save Flycast's, which everyone knows by its prefix. */
function newIp(app: App, wish: z.infer<typeof NewIp>): IpAssignment {
  const tail = randomBytes(2).toString('hex')
  const ip = {
    v4: `192.0.2.${1 + (app.internal_numeric_id % 254)}`,
    shared_v4: `198.51.100.${1 + (app.internal_numeric_id % 254)}`,
    v6: `2001:db8::${tail}`,
    private_v6: `fdaa:0:1::${tail}`,
  }[wish.type]
  return {
    ip,
    region: wish.region ?? 'global',
    service_name: wish.service_name ?? '',
    shared: wish.type === 'shared_v4',
    created_at: new Date().toISOString(),
  }
}

const showError: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
  if (error instanceof FlyError) {
    const { httpStatus, message, status } = error
    res.status(httpStatus).json({ error: message, ...(status && { status }) })
    return
  }
  const { status, message } = error as Error & { status?: number }
  if (status === undefined) console.error('localfly:', error)
  res.status(status ?? 500).json({ error: message })
}
