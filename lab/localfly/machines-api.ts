import { constants } from 'node:os'
import { z } from 'zod'
import { appRoutes, atLeast } from './apps-api.ts'
import { FlyError } from './fly-error.ts'
import type { FlySchema } from './fly-schema.ts'
import type { Flyd, Stop } from './flyd.ts'
import { acquireLease, currentLease, releaseLease } from './leases.ts'
import type { RequestLimits } from './limits.ts'
import { readLog } from './machine-log.ts'
import { Launch, withoutNulls } from './machine-config.ts'
import { expectOrg, isOf, pageOf } from './org-pages.ts'
import { expectRegion } from './regions.ts'
import { machinePath, ok, parse, Routes } from './routes.ts'
import type { App, FlyState, Machine } from './state.ts'
import { claimVolumes, volumeRoutes, withVolumeFacts } from './volumes-api.ts'
import { readWait, waitFor } from './wait.ts'
import { webRoutes } from './web-api.ts'

type Parts = {
  state: FlyState
  flyd: Flyd
  token: string
  limits: RequestLimits
  schema: FlySchema
  registry: string
}

/**
 * All that Fly answers: the Machines API in its shapes and codes, and the parts of Fly's web API
 * that flyctl uses.
 */
export function machinesApi(parts: Parts) {
  const routes = new Routes(parts)
  appRoutes(routes, parts)
  machineRoutes(routes, parts)
  volumeRoutes(routes, parts.state)
  webRoutes(routes.api, parts)
  routes.end()
  return routes.api
}

function machineRoutes(routes: Routes, { state, flyd, schema }: Parts): void {
  const on = routes.on.bind(routes)
  const change = routes.change.bind(routes)
  const readLaunch = (body: unknown, app: App, region: string, machine?: Machine): Launch => {
    const { config, ...rest } = parse(Launch, body)
    const launch = { ...rest, config: withoutNulls(config) }
    const wrong = schema.wrongConfig(launch.config)
    if (wrong) throw new FlyError(400, `invalid_argument: config${wrong}`)
    atLeast(app, launch.min_secrets_version)
    expectRegion(launch.region ?? region)
    claimVolumes(state, app, launch.config, launch.region ?? region, machine)
    const { mounts } = launch.config
    if (mounts) launch.config.mounts = withVolumeFacts(state, mounts)
    return launch
  }

  on('get', '/apps/:app/machines', ({ app, query }) => {
    const all = [...state.machines.values()].filter((machine) => machine.own.app === app.name)
    const machines = all.filter((machine) => isListed(machine, query))
    return machines.map(query.get('summary') === 'true' ? summary : showMachine)
  })
  on('get', '/orgs/:org/machines', ({ params, query }) => {
    expectOrg(state, params['org']!)
    const all = [...state.machines.values()].filter((machine) =>
      isOf(state, machine.own.app, params['org']!),
    )
    const { page, last, ...more } = pageOf(
      all.filter((machine) => isListed(machine, query)).map(overview),
      query,
    )
    return { machines: page, ...(last && { last_machine_id: last }), ...more, error_regions: [] }
  })
  on('post', '/apps/:app/machines', ({ app, body }) => {
    const launch = readLaunch(body, app, defaultRegion)
    const machine = flyd.create(app, launch)
    if (!launch.lease_ttl) return showMachine(machine)
    const { nonce } = acquireLease(machine, { ttlSeconds: launch.lease_ttl }, undefined)
    state.save()
    return { ...showMachine(machine), nonce }
  })
  on('get', machinePath, ({ machine }) => showMachine(machine))
  change('post', machinePath, ({ app, machine, body }) => {
    flyd.update(machine, readLaunch(body, app, machine.region, machine))
    return showMachine(machine)
  })
  change('delete', machinePath, ({ machine, query }) => {
    flyd.destroy(machine, query.get('force') === 'true' || query.get('kill') === 'true')
    return ok
  })
  change('post', `${machinePath}/start`, ({ machine }) => {
    const previous = flyd.start(machine)
    return { previous_state: previous, migrated: false, new_host: '' }
  })
  change('post', `${machinePath}/stop`, async ({ machine, body }) => {
    await flyd.stopAndWait(machine, readStop(body['signal'], body['timeout']))
    return ok
  })
  change('post', `${machinePath}/restart`, ({ machine, query }) => {
    const signal =
      query.get('force_stop') === 'true' ? 'SIGKILL' : (query.get('signal') ?? undefined)
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
  on('get', `${machinePath}/wait`, ({ machine, query, signal }) =>
    waitFor(state, machine, readWait(query), signal),
  )
  on('post', `${machinePath}/exec`, ({ machine, body }) => {
    const { cmd, command = words(cmd ?? ''), timeout } = parse(Exec, body)
    if (command.length === 0) throw new FlyError(400, 'invalid_argument: command is required')
    return flyd.exec(machine, command, (timeout || 30) * 1000)
  })
  on('get', `${machinePath}/ps`, ({ machine }) => flyd.processes(machine))
  on('get', `${machinePath}/logs`, async ({ machine, scope, query }) => {
    // flyctl: "not authorized to retrieve app logs (this can happen when using deploy tokens)".
    if (scope !== 'org') throw new FlyError(403, 'unauthorized')
    const entries = (await readLog(state, machine)).slice(-Number(query.get('lines') ?? 100))
    const lines = entries.map((entry) => `${JSON.stringify(entry)}\n`)
    return lines.join('')
  })
  on('get', `${machinePath}/versions`, ({ machine }) => machine.own.versions)
  on('get', `${machinePath}/events`, ({ machine, query }) => {
    const limit = Number(query.get('limit') ?? 20)
    if (!(limit >= 1 && limit <= 50))
      throw new FlyError(400, 'invalid_argument: limit must be between 1 and 50')
    return machine.events.slice(0, limit)
  })

  on('get', `${machinePath}/lease`, ({ machine }) => {
    const lease = currentLease(machine)
    if (!lease) throw new FlyError(404, 'not_found: lease not found')
    const { nonce: _secret, ...shown } = lease
    return { status: 'success', data: shown }
  })
  on('post', `${machinePath}/lease`, ({ machine, query, body, nonce }) => {
    const ttlSeconds = Number(query.get('ttl') ?? body['ttl'] ?? 30)
    if (!(ttlSeconds >= 1)) throw new FlyError(400, 'invalid_argument: ttl must be at least 1')
    const { description } = body
    const request = { ttlSeconds, ...(typeof description === 'string' && { description }) }
    const lease = acquireLease(machine, request, nonce)
    state.save()
    return { status: 'success', data: lease }
  })
  on('delete', `${machinePath}/lease`, ({ machine, nonce }) => {
    releaseLease(machine, nonce)
    state.save()
    return { status: 'success', data: { ok: true } }
  })

  on('get', `${machinePath}/metadata`, ({ machine }) => machine.config.metadata ?? {})
  for (const method of ['put', 'patch'] as const)
    on(method, `${machinePath}/metadata`, ({ machine, body }) => {
      const request = parse(NewMetadata, body)
      if (request.machine_version && request.machine_version !== machine.instance_id)
        throw new FlyError(412, `failed_precondition: machine version is ${machine.instance_id}`)
      writeMetadata(
        state,
        machine,
        method === 'put' ? {} : machine.config.metadata,
        request.metadata,
      )
    })
  on('get', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    const value = machine.config.metadata?.[params['key']!]
    if (value === undefined) throw new FlyError(404, 'not_found: metadata key not found')
    return { value }
  })
  on('post', `${machinePath}/metadata/:key`, ({ machine, params, body }) => {
    writeMetadata(state, machine, machine.config.metadata, {
      [params['key']!]: parse(MetadataValue, body).value,
    })
  })
  on('delete', `${machinePath}/metadata/:key`, ({ machine, params }) => {
    writeMetadata(state, machine, machine.config.metadata, { [params['key']!]: null })
  })
}

const defaultRegion = 'lab'
/** `stdin` is accepted and ignored, as users report of Fly. */
const Exec = z.object({
  cmd: z.string().optional(),
  command: z.array(z.string()).optional(),
  timeout: z.number().optional(),
})
const NewMetadata = z.object({
  metadata: z.record(z.string(), z.string().nullable()),
  machine_version: z.string().optional(),
})
const MetadataValue = z.object({ value: z.string() })

function readStop(signal: unknown, timeout: unknown): Stop {
  const isDuration = typeof timeout === 'string' || typeof timeout === 'number'
  return {
    signal: signal ? readSignal(signal) : undefined,
    timeout: isDuration ? timeout : undefined,
  }
}

/** Splits a command line into words, with quotes. */
const words = (line: string): string[] =>
  (line.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? []).map((word) =>
    word.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'),
  )

/** Reads a signal by name or number, if Fly allows it. */
function readSignal(signal: unknown): string {
  const allowed = [
    'SIGHUP',
    'SIGINT',
    'SIGQUIT',
    'SIGKILL',
    'SIGUSR1',
    'SIGUSR2',
    'SIGTERM',
  ] as const
  const name = allowed.find((each) => each === signal || constants.signals[each] === Number(signal))
  if (!name) throw new FlyError(400, `invalid_argument: invalid signal: ${String(signal)}`)
  return name
}

const eventsShown = 20

function showMachine(machine: Machine) {
  const { own: _own, ...shown } = machine
  return { ...shown, version: machine.instance_id, events: machine.events.slice(0, eventsShown) }
}

function summary({
  config: _config,
  checks: _checks,
  events: _events,
  own: _own,
  host_status: _host,
  ...rest
}: Machine) {
  return rest
}

function overview({
  own,
  config,
  id,
  name,
  region,
  state,
  instance_id,
  private_ip,
  created_at,
  updated_at,
}: Machine) {
  const { image, guest, metadata } = config
  const facts = {
    id,
    name,
    region,
    state,
    instance_id,
    version: instance_id,
    private_ip,
    created_at,
    updated_at,
  }
  return { app_name: own.app, config: { image, guest, metadata: metadata ?? {} }, ...facts }
}

function isListed(machine: Machine, query: URLSearchParams): boolean {
  const states = query.get('state')?.split(',')
  const region = query.get('region')
  if (
    states
      ? !states.includes(machine.state)
      : machine.state === 'destroyed' && query.get('include_deleted') !== 'true'
  ) {
    return false
  }
  if (region && region !== machine.region) return false
  return [...query].every(
    ([name, value]) =>
      !name.startsWith('metadata.') ||
      machine.config.metadata?.[name.slice('metadata.'.length)] === value,
  )
}

/** Null and "" remove a key. */
function writeMetadata(
  state: FlyState,
  machine: Machine,
  old: Record<string, string> | null | undefined,
  more: Record<string, string | null>,
): void {
  const entries = Object.entries({ ...old, ...more }).filter((entry): entry is [string, string] =>
    Boolean(entry[1]),
  )
  machine.config = { ...machine.config, metadata: Object.fromEntries(entries) }
  state.save(machine)
}
