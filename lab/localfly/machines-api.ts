import { constants } from 'node:os'
import { z } from 'zod'
import { appRoutes, atLeast } from './apps-api.ts'
import { certificateRoutes } from './certificates-api.ts'
import { FlyError } from './fly-error.ts'
import type { FlySchema } from './fly-schema.ts'
import type { Flyd } from './flyd.ts'
import { leaseRoutes } from './lease-routes.ts'
import { acquireLease } from './leases.ts'
import type { RequestLimits } from './limits.ts'
import type { Stop } from './machine-actions.ts'
import type { Scraper } from './metrics/scraper.ts'
import { readLog } from './machine-log.ts'
import { Launch, withoutNulls } from './machine-config.ts'
import { isListed, overview, showMachine, summary } from './machine-shapes.ts'
import { policyRoutes } from './network/policies-api.ts'
import { metadataRoutes } from './metadata-routes.ts'
import { expectOrg, isOf, pageOf } from './org-pages.ts'
import { expectSoldSize } from './guest-sizes.ts'
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
  /** Absent: there are no metrics. */
  scraper?: Scraper
}

/**
 * All that Fly answers: the Machines API in its shapes and codes, and the parts of Fly's web API
 * that flyctl uses.
 */
export function machinesApi(parts: Parts) {
  const routes = new Routes(parts)
  appRoutes(routes, parts)
  certificateRoutes(routes, parts.state)
  machineRoutes(routes, parts)
  leaseRoutes(routes, parts.state)
  metadataRoutes(routes, parts.state)
  volumeRoutes(routes, parts.state)
  policyRoutes(routes, parts.state)
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
    expectSoldSize(launch.config)
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
}

const defaultRegion = 'lab'
/** `stdin` is accepted and ignored, as users report of Fly. */
const Exec = z.object({
  cmd: z.string().optional(),
  command: z.array(z.string()).optional(),
  timeout: z.number().optional(),
})

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
