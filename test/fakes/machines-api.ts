import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { SecretVersion } from '#api/release.ts'
import type { Machine, MachineConfig } from '#fly/machine.ts'
import type { Volume } from '#fly/answers.ts'
import { portOf } from '../../gateway/src/host/port-of.ts'
import { FakeReleases } from './releases-api.ts'

/** The behaviour of an image once a machine runs it. */
export type Nature =
  | 'good'
  | 'check-fails'
  | 'crashes'
  | 'crashes-once'
  | 'crashes-later'
  | 'finishes'
  | 'checks-late'
  | 'reverts'
  | 'cannot-start'
  | 'starts-later'
/**
 * `lost`: done, and the connection cut. `after`: done, and a 500. `before`: a 503, `unseen`: a 404,
 * and nothing done.
 */
export type Fault = 'before' | 'after' | 'lost' | '429' | 'unseen'

type Kept = Machine & {
  config: MachineConfig
  lease: { nonce: string; endsAt: number } | null
  made: number
  undying?: boolean
}
type Policy = { id?: string; name: string; selector: object; rules: object[] }
export type App = {
  id?: string
  name: string
  network?: unknown
  ips: { ip: string; network?: unknown }[]
  machines: Map<string, Kept>
  volumes: (Volume & { size_gb?: number })[]
  secrets: SecretVersion[]
  secretsVersion?: number
  policies?: Policy[]
}
type Call = {
  method: string
  path: string
  body: Record<string, unknown>
  nonce: string | undefined
  query: URLSearchParams
}

const bootMs = 10
const ulid = () => `01${randomBytes(12).toString('hex').toUpperCase()}`

/**
 * Fly's Machines API in memory: versions, leases, waits, checks, and faults on demand. The digest
 * of an image decides its behaviour.
 */
export class FakeFly {
  readonly apps = new Map<string, App>()
  readonly natures = new Map<string, Nature>()
  regions = ['ams', 'fra', 'iad', 'lhr']
  /** The exit code of a machine that destroys itself. Null: it does not end. */
  exitCode: number | null = 0
  /** What is wrong with network policies: refused, or accepted and then without rules. */
  policyFlaw: 'refused' | 'emptied' | null = null
  /** The output of a failing check. */
  checkOutput = 'connection refused'
  /** What `ps` answers. Null: each service's port has a listener. */
  processes: object[] | null = null
  /** What `logs` answers: the lines of a machine's programs, and their times. Null: no answer. */
  printed: ((machine: Machine) => { message: string; timestamp?: string }[]) | null = ({
    name,
  }) => [{ message: `said by ${name}` }]
  /** What a command in a machine does. */
  exec: (command: string[]) => object = (command) => ({ exit_code: 0, stdout: command.join(' ') })
  /** Leases expire sooner by this factor. */
  leaseSpeed = 1
  /** Each call meets a fault with this probability. */
  chaos: { rate: number; random: () => number } | null = null
  /** The caller with this token dies at its `at`-th changing call, before or after the effect. */
  killing: { token: string; at: number; when: 'before' | 'after' } | null = null
  /** Tokens of dead callers. Their calls have no effect. */
  readonly dead = new Set<string>()
  /** The next call whose `METHOD /path` matches meets the fault. */
  readonly faults: { on: RegExp; fault: Fault }[] = []
  /** The next call whose `METHOD /path` matches waits until then. */
  readonly holds: { on: RegExp; until: Promise<void> }[] = []
  readonly calls: string[] = []
  /** `min_secrets_version` of each created and updated machine. */
  readonly minSecretsVersions: unknown[] = []
  /** Fly's web API. */
  readonly releases = new FakeReleases()
  /** Calls above Fly's limits (1/s, burst 3; get 5/s, burst 10), with some slack for the clock. */
  tooFast = 0
  url = ''
  /** Versions that have failed to start once. */
  readonly #failed = new Set<string>()
  readonly #full = new Map<string, number>()
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(): Promise<FakeFly> {
    const fake = new FakeFly()
    await new Promise<void>((done) => fake.#server.listen(0, '127.0.0.1', done))
    fake.url = `http://127.0.0.1:${portOf(fake.#server)}`
    return fake
  }

  machines(app: string): Kept[] {
    return [...(this.apps.get(app)?.machines.values() ?? [])].filter(
      ({ state }) => state !== 'destroyed',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fly')
    const text = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString()
    if (/^\/(api\/v1\/|graphql$)/.test(url.pathname))
      return await this.releases.answer(request, response, text)
    const nonce = request.headers['fly-machine-lease-nonce']?.toString()
    const call = {
      method: request.method ?? '',
      path: url.pathname.slice(3),
      query: url.searchParams,
      nonce,
    }
    const name = `${call.method} ${call.path}`
    this.calls.push(name)
    this.#meter(call.method, call.path)
    const held = this.holds.findIndex(({ on }) => on.test(name))
    if (held !== -1) await this.holds.splice(held, 1)[0]?.until
    const at = this.faults.findIndex(({ on }) => on.test(name))
    const fault = at === -1 ? this.#chance() : this.faults.splice(at, 1)[0]?.fault
    const body = JSON.parse(text || '{}') as Record<string, unknown>
    const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
    const dies = this.killing?.token === token && call.method !== 'GET' && --this.killing.at === 0
    const allowed =
      token.startsWith('secret') &&
      !this.dead.has(token) &&
      !(dies && this.killing?.when === 'before')
    if (dies) this.dead.add(token)
    let [status, value]: [number, unknown] = [
      401,
      { error: 'Authenticate: token validation error' },
    ]
    if (allowed && dies) await this.#route({ ...call, body })
    else if (fault === 'unseen') [status, value] = [404, { error: 'machine not found' }]
    else if (fault === '429') [status, value] = [429, {}]
    else if (fault === 'before') [status, value] = [503, { error: 'unavailable: try again' }]
    else if (allowed) [status, value] = await this.#route({ ...call, body })
    if (fault === 'lost') return void request.socket.destroy()
    if (fault === 'after') [status, value] = [500, { error: 'internal' }]
    response.writeHead(status, {
      'fly-request-id': ulid(),
      ...(fault === '429' && { 'retry-after': '1' }),
    })
    const isLog = status === 200 && url.pathname.endsWith('/logs') && Array.isArray(value)
    const lines = isLog ? (value as unknown[]) : [value]
    response.end(lines.map((line) => JSON.stringify(line) ?? '').join('\n'))
  }

  #chance(): Fault | null {
    if (!this.chaos || this.chaos.random() > this.chaos.rate) return null
    return (
      (['before', 'after', 'lost', '429'] as const)[Math.floor(this.chaos.random() * 4)] ?? null
    )
  }

  #meter(method: string, path: string): void {
    const single = method === 'GET' && /machines\/\w+$|apps\/[\w-]+$/.test(path)
    const [everyMs, burst] = single ? [200, 10] : [1000, 3]
    const now = performance.now()
    const full = Math.max(this.#full.get(`${method} ${path}`) ?? 0, now)
    if (full - now > (burst - 1) * everyMs + 100) this.tooFast++
    this.#full.set(`${method} ${path}`, full + everyMs)
  }

  async #route(call: Call): Promise<[number, unknown]> {
    const { method, path, body } = call
    const [, , name = '', kind, id, verb, key = ''] = path.split('/')
    if (path === '/platform/regions')
      return [200, { Nearest: 'fra', Regions: this.regions.map((code) => ({ code })) }]
    if (path === '/tokens/current') return [200, { tokens: [] }]
    if (path.startsWith('/orgs/'))
      return name === 'personal'
        ? [200, { machines: this.#overviews(call.query.get('updated_after')) }]
        : [403, { error: 'unauthorized' }]
    if (path === '/apps' && method === 'GET')
      return [200, { apps: [...this.apps.keys()].map((each) => ({ name: each })) }]
    if (path === '/apps') {
      if (this.apps.has(String(body['name'])))
        return [422, { error: 'Name has already been taken', status: 'name_taken' }]
      const fresh = {
        id: ulid(),
        network: body['network'],
        ips: [],
        machines: new Map(),
        volumes: [],
        secrets: [],
      }
      this.apps.set(String(body['name']), { name: String(body['name']), ...fresh })
      return [201, { id: name, created_at: Date.now() }]
    }
    const app = this.apps.get(name)
    if (name === 'of-somebody-else') return [403, { error: 'unauthorized' }]
    if (!app) return [404, { error: 'app not found' }]
    if (!kind && method === 'GET')
      return [200, { id: app.id, name, status: 'deployed', machine_count: app.machines.size }]
    if (!kind && method === 'DELETE') return (this.apps.delete(name), [202, {}])
    if (kind === 'secrets') return secretsAnswer(app, call)
    if (kind === 'network_policies') return this.#policies(app, call)
    if (kind === 'certificates') return [200, { certificates: [] }]
    if (kind === 'volumes') {
      const request = body as { name: string; region: string; size_gb: number }
      const made = { ...request, id: `vol_${randomBytes(4).toString('hex')}`, state: 'created' }
      if (method === 'DELETE') {
        const volume = app.volumes.find((each) => each.id === id)
        if (!volume) return [404, { error: 'volume not found' }]
        if (volume.attached_machine_id) return [412, { error: 'failed_precondition: attached' }]
        return ((app.volumes = app.volumes.filter((each) => each !== volume)), [200, volume])
      }
      if (method === 'POST') app.volumes.push(made)
      return [200, method === 'POST' ? made : app.volumes]
    }
    if (kind === 'ip_assignments') {
      if (method === 'DELETE')
        return ((app.ips = app.ips.filter(({ ip }) => ip !== decodeURIComponent(id!))), [200, {}])
      if (method === 'POST') app.ips.push({ ip: 'fdaa:0:1::2', network: body['network'] })
      return [200, { ips: app.ips }]
    }
    if (!id)
      return method === 'GET'
        ? [200, this.machines(name).map(shown)]
        : this.#withSecrets(app, body, () => this.#create(app, body))
    const machine = app.machines.get(id)
    if (!machine) return [404, { error: `machine not found, '${id}'` }]
    if (verb === 'lease') return this.#lease(machine, call)
    if (verb === 'wait') return await this.#wait(machine, call.query)
    if (verb === 'logs') return this.printed ? [200, this.printed(shown(machine))] : [403, denied]
    if (verb === 'ps') return [200, this.processes ?? [listening(machine)]]
    if (method === 'GET') return [200, shown(machine)]
    if (verb === 'metadata' && method === 'PATCH') {
      if (body['machine_version'] !== machine.instance_id) return [412, { error: 'stale' }]
      return (Object.assign((machine.config.metadata ??= {}), body['metadata']), [204, undefined])
    }
    if (verb === 'metadata')
      return (Object.assign(machine.config.metadata ?? {}, { [key]: body['value'] }), [200, {}])
    const held =
      machine.lease && machine.lease.endsAt > Date.now() && machine.lease.nonce !== call.nonce
    if (held)
      return [
        409,
        {
          error: `aborted: machine ID ${id} lease currently held by u@tokens.fly.io, expires at ${new Date(machine.lease?.endsAt ?? 0).toISOString()}`,
        },
      ]
    if (machine.state === 'destroyed') return [404, { error: 'machine not found' }]
    if (method === 'DELETE') {
      if (machine.undying) return [422, { error: 'it stays' }]
      machine.state = 'destroyed'
      for (const volume of app.volumes)
        if (volume.attached_machine_id === id) delete volume.attached_machine_id
      return [200, { ok: true }]
    }
    if (verb === 'cordon' || verb === 'uncordon')
      return ((machine.cordoned = verb === 'cordon'), [200, { ok: true }])
    if (verb === 'stop')
      return (
        this.#event(machine, 'stop', 'stopping'), (machine.state = 'stopped'), [200, { ok: true }]
      )
    if (verb === 'exec')
      return machine.state === 'started'
        ? [200, this.exec(body['command'] as string[])]
        : [412, { error: 'failed_precondition: machine not started' }]
    if (verb === 'suspend')
      return (
        this.#event(machine, 'suspend', 'suspended'),
        (machine.state = 'suspended'),
        [200, { ok: true }]
      )
    if (verb === 'start' && !['stopped', 'suspended', 'failed'].includes(machine.state))
      return [412, { error: 'failed_precondition: unable to start' }]
    if (verb === 'start') machine.state = 'starting'
    if (verb === 'start') return (this.#boot(machine), [200, {}])
    return this.#withSecrets(app, body, () => this.#update(machine, body))
  }

  #policies(app: App, { method, body }: Call): [number, unknown] {
    if (method === 'GET') return [200, app.policies ?? []]
    if (this.policyFlaw === 'refused') return [422, { error: 'policies are not enabled' }]
    const { id = randomBytes(4).toString('hex'), rules, ...more } = body as unknown as Policy
    const kept = { ...more, id, rules }
    const others = (app.policies ?? []).filter((policy) => policy.id !== id)
    app.policies = [
      ...others,
      this.policyFlaw === 'emptied' ? { ...kept, rules: rules.slice(1) } : kept,
    ]
    return [200, kept]
  }

  /** Fly refuses a machine with newer secrets than it has. */
  #withSecrets(
    app: App,
    { min_secrets_version: version }: Record<string, unknown>,
    change: () => [number, unknown],
  ): [number, unknown] {
    if (Number(version ?? 0) > (app.secretsVersion ?? 0))
      return [412, { error: 'failed_precondition: secrets are not yet at that version' }]
    this.minSecretsVersions.push(version)
    return change()
  }

  #overviews(after: string | null): object[] {
    const all = [...this.apps.keys()].flatMap((app) =>
      this.machines(app).map(({ id, state, region, events, config }) => {
        const { metadata, guest, image } = config
        const changed = Math.max(...(events ?? []).map(({ timestamp }) => timestamp), 0)
        const updated_at = new Date(changed).toISOString()
        return { id, state, region, app_name: app, updated_at, config: { metadata, guest, image } }
      }),
    )
    return all.filter(({ updated_at: at }) => after === null || at > after)
  }

  #create({ name: app, machines, volumes }: App, body: Record<string, unknown>): [number, unknown] {
    if (this.machines(app).some(({ name }) => name === body['name']))
      return [409, { error: 'already exists: name is taken' }]
    const id = randomBytes(7).toString('hex')
    const config = body['config'] as MachineConfig
    const machine: Kept = {
      id,
      name: String(body['name']),
      region: String(body['region']),
      state: 'created',
      instance_id: ulid(),
      private_ip: `fdaa:0:1::${machines.size + 3}`,
      config,
      image_ref: imageRef(config),
      events: [],
      checks: [],
      lease: null,
      made: 1,
    }
    for (const mount of config.mounts ?? []) {
      const volume = volumes.find(
        (volume) => volume.id === mount.volume && !volume.attached_machine_id,
      )
      if (!volume) return [412, { error: 'failed_precondition: volume already claimed' }]
      volume.attached_machine_id = id
    }
    if (body['skip_service_registration']) machine.cordoned = true
    machines.set(id, machine)
    this.#event(machine, 'launch', 'created')
    if (!body['skip_launch']) this.#boot(machine)
    else setTimeout(() => (machine.state = 'stopped'), bootMs)
    return [200, shown(machine)]
  }

  #update(machine: Kept, body: Record<string, unknown>): [number, unknown] {
    if (machine.state === 'replacing')
      return [409, { error: 'aborted: machine is replacing: concurrent update in progress' }]
    if (body['current_version'] && body['current_version'] !== machine.instance_id)
      return [412, { error: 'failed_precondition: current_version does not match' }]
    const { instance_id, config, image_ref, state, events, checks } = machine
    const next = body['config'] as MachineConfig
    Object.assign(machine, {
      instance_id: ulid(),
      config: next,
      image_ref: imageRef(next),
      state: 'replacing',
      events: [],
      checks: [],
    })
    this.#event(machine, 'update', 'replacing')
    machine.made++
    const answer = shown(machine)
    if (this.#nature(machine) === 'reverts')
      setTimeout(
        () => Object.assign(machine, { instance_id, config, image_ref, state, events, checks }),
        bootMs,
      )
    else if (body['skip_launch'] || state === 'stopped')
      setTimeout(() => (machine.state = 'stopped'), bootMs)
    else this.#boot(machine)
    return [200, answer]
  }

  #boot(machine: Kept): void {
    const nature = this.#nature(machine)
    const version = machine.instance_id
    const expected = [
      ...Object.keys(machine.config.checks ?? {}),
      ...(machine.config.services ?? []).flatMap(({ checks }) =>
        (checks ?? []).map((_, at) => `servicecheck-0${at}`),
      ),
    ]
    const later = (afterMs: number, effect: () => void) =>
      setTimeout(
        () => version === machine.instance_id && machine.state !== 'destroyed' && effect(),
        afterMs,
      )
    const crash = (state: string, code = 7) => {
      const exit_event = { exit_code: code, requested_stop: false, restarting: state === 'started' }
      machine.events?.unshift({
        type: 'exit',
        status: 'stopped',
        source: 'flyd',
        timestamp: Date.now(),
        request: { exit_event },
      })
      machine.state = state
    }
    later(bootMs, () => {
      const isLate = nature === 'starts-later' && this.#failed.size < this.#failed.add(version).size
      if (nature === 'cannot-start' || isLate) return void (machine.state = 'failed')
      machine.state = 'started'
      this.#event(machine, 'start', 'started')
      const status = nature === 'check-fails' ? 'critical' : 'passing'
      machine.checks = (nature === 'checks-late' ? [] : expected).map((name) => ({
        name,
        status,
        output: status === 'critical' ? this.checkOutput : '',
      }))
      const { exitCode } = this
      if (machine.config['auto_destroy'])
        return void (exitCode !== null && later(bootMs, () => crash('destroyed', exitCode)))
      if (nature === 'crashes-once') crash('started')
      if (nature === 'crashes') later(bootMs, () => crash('stopped'))
      if (nature === 'finishes') later(bootMs, () => crash('stopped', 0))
      const again = () => {
        if (machine.state !== 'started') return
        crash('started')
        later(400, again)
      }
      if (nature === 'crashes-later') later(400, again)
    })
  }

  #lease(machine: Kept, { method, body, nonce }: Call): [number, unknown] {
    const held = machine.lease && machine.lease.endsAt > Date.now() ? machine.lease : null
    if (held && held.nonce !== nonce)
      return [
        409,
        {
          error: `aborted: machine ID ${machine.id} lease currently held by u@tokens.fly.io, expires at ${new Date(held.endsAt).toISOString()}`,
        },
      ]
    if (method === 'DELETE') machine.lease = null
    else
      machine.lease = {
        nonce: nonce ?? ulid(),
        endsAt: Date.now() + (Number(body['ttl']) * 1000) / this.leaseSpeed,
      }
    return [201, { status: 'success', data: { nonce: machine.lease?.nonce } }]
  }

  async #wait(machine: Kept, query: URLSearchParams): Promise<[number, unknown]> {
    const seconds = Number(query.get('timeout'))
    if (!(seconds >= 1 && seconds <= 60))
      return [400, { error: 'invalid_argument: value must be inside range [1s, 1m0s]' }]
    const states = query.get('state')?.split(',') ?? []
    const deadline = Date.now() + seconds * 1000
    while (Date.now() < deadline) {
      if (machine.state === 'destroyed')
        return states.includes('destroyed')
          ? [200, { ok: true }]
          : [404, { error: 'machine not found' }]
      const version = query.get('version') ?? machine.instance_id
      const rests =
        states.includes('settled') && !['created', 'replacing', 'starting'].includes(machine.state)
      if ((rests || states.includes(machine.state)) && machine.instance_id === version)
        return [200, { ok: true }]
      await delay(5)
    }
    return [
      408,
      {
        error: `deadline_exceeded: machine failed to reach desired state, ${query.get('state')}, currently ${machine.state}`,
      },
    ]
  }

  #event(machine: Kept, type: string, status: string): void {
    machine.events?.unshift({ type, status, source: 'flyd', timestamp: Date.now() })
  }

  #nature = (machine: Kept): Nature => this.natures.get(machine.image_ref?.digest ?? '') ?? 'good'
}

const denied = { error: 'unauthorized' }

const listening = ({ config }: Kept) => ({
  command: 'server',
  listen_sockets: (config.services ?? []).map(({ internal_port: port }) => ({
    proto: 'tcp',
    address: `0.0.0.0:${port}`,
  })),
})

function shown({ lease: _lease, made: _made, ...machine }: Kept): Machine {
  return structuredClone(machine)
}

function imageRef({ image = '' }: MachineConfig): NonNullable<Machine['image_ref']> {
  const [, registry = '', repository = '', tag = '', digest = ''] =
    /^([^/]+)\/([^@:]+)(?::([^@]+))?@(.+)$/.exec(image) ?? []
  return { registry, repository, tag, digest }
}

/** A change replaces secrets by name; each change makes a new version. */
function secretsAnswer(app: App, { method, query, body }: Call): [number, unknown] {
  const version = (app.secretsVersion ??= 0)
  if (method === 'GET' && Number(query.get('min_version') ?? 0) > version)
    return [412, { error: `failed_precondition: secrets are at version ${version}` }]
  if (method === 'GET') return [200, { secrets: app.secrets }]
  const values = Object.entries(body['values'] as Record<string, string | null>)
  if (values.some(([, value]) => value?.includes('refuse')))
    return [400, { error: `invalid_argument: ${JSON.stringify(body)}` }]
  const kept = app.secrets.filter(({ name }) => !values.some(([other]) => other === name))
  const set = values.flatMap(([name, value]) =>
    value === null ? [] : [{ name, digest: `digest of ${value.length} ${value.slice(0, 2)}` }],
  )
  app.secrets = [...kept, ...set]
  app.secretsVersion = version + 1
  return [200, { secrets: set, version: version + 1 }]
}
