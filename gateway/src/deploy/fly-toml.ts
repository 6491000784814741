import { parse } from 'smol-toml'
import { Problem } from '#api/problem.ts'
import type { MachineConfig, MachineService, Mount } from '../fly/machine.ts'
import { formatDuration } from './go-duration.ts'
import { guestOf, sizeBytes, type Guest } from './guest.ts'
import { patchToml } from './patch-toml.ts'
import { shellWords } from './shell-words.ts'
import { isTable, refuse, Section, type Table } from './toml-section.ts'

const releaseNs = 300e9

export const strategies = ['rolling', 'canary', 'bluegreen', 'immediate'] as const
export type Strategy = (typeof strategies)[number]

/** A section and the process groups it names; none named means the default group. */
type Scoped<T> = { processes: string[]; value: T }

/** What a fly.toml says, in the words of the machine config where it has them. */
export type FlyToml = {
  app: string | null
  primaryRegion: string | null
  /** Process groups in order, each with its command. */
  groups: Map<string, string[]>
  deploy: {
    strategy: Strategy | null
    /** Below 1 a share of the machines, else their number. */
    maxUnavailable: number | null
    waitMs: number | null
    release: { command: string[]; guest: Guest | null; timeoutMs: number } | null
  }
  build: { image?: string; dockerfile?: string; target?: string; args: Record<string, string> }
  env: Record<string, string>
  services: Scoped<MachineService>[]
  checks: Scoped<{ name: string; check: CheckConfig }>[]
  mounts: (Scoped<Mount> & { volume: VolumeSize })[]
  metrics: Scoped<object>[]
  restarts: Scoped<object>[]
  vms: Scoped<Guest>[]
  files: object[]
  statics: object[]
  init: { cmd?: string[]; entrypoint?: string[]; exec?: string[]; swap_size_mb?: number }
  stopConfig: object | null
  /** The port of `[http_service]`, from which checks take theirs. */
  httpPort: { processes: string[]; port: number } | null
  /** `machine_config`: laid below everything else. */
  base: MachineConfig
}
/** Of a volume that is made for a mount. */
export type VolumeSize = { size_gb: number; snapshot_retention?: number }
type CheckConfig = { type: string; port?: number; [field: string]: unknown }

/** Reads a file of the source, by its path in fly.toml; null when it is not there. */
export type ReadFile = (path: string) => Buffer | null
type Warn = (text: string) => void

/** Reads and checks a fly.toml as flyctl does; what it would refuse is refused as `fly-config-invalid`. */
export function readFlyToml(text: string, readFile: ReadFile, warn: Warn): FlyToml {
  const file = new Section('', patchToml(parseToml(text)), warn)
  const groups = readGroups(file)
  const isGroup = (name: string) => (groups.size === 0 ? name === 'app' : groups.has(name))
  const http = file.section('http_service')
  const httpPort = http?.int('internal_port')
  const services = [...(http ? [httpService(http)] : []), ...file.sections('services', true).flatMap(service)]
  const experimental = file.section('experimental')
  const swap = file.int('swap_size_mb')
  const stop = withoutAbsent({ timeout: file.duration('kill_timeout', 's'), signal: file.string('kill_signal') })
  const dedication = file.string('host_dedication_id')
  const mounts = file.sections('mounts').map(mount)
  const config: FlyToml = {
    app: file.string('app') ?? null,
    primaryRegion: file.string('primary_region') ?? null,
    groups: groups.size === 0 ? new Map([['app', []]]) : groups,
    deploy: readDeploy(file, mounts.length > 0, dedication),
    build: readBuild(file),
    env: file.texts('env', true) ?? {},
    services,
    checks: file.named('checks').map(([name, check]) => topCheck(name, check)),
    mounts,
    metrics: file.sections('metrics').map((metric) => scoped(metric, metrics(metric))),
    restarts: file.sections('restart').map(restart),
    vms: file.sections('vm').map((vm) => scoped(vm, guestOf(vm, dedication))),
    files: readFiles(file, readFile),
    statics: file.sections('statics').map(staticFiles),
    init: withoutAbsent({
      cmd: experimental?.strings('cmd'),
      entrypoint: experimental?.strings('entrypoint'),
      exec: experimental?.strings('exec'),
      swap_size_mb: swap,
    }),
    stopConfig: Object.keys(stop).length > 0 ? stop : null,
    httpPort: http && httpPort ? { processes: http.strings('processes') ?? [], port: httpPort } : null,
    base: readBase(file, experimental, readFile),
  }
  experimental?.close('auto_rollback', 'enable_consul', 'enable_etcd', 'lazy_load_images', 'attached')
  file.close('console_command', 'container', 'machine_checks')

  for (const { processes, value } of config.services) checkService(value, processes, groups.size, isGroup, warn)
  for (const name of config.restarts.flatMap(({ processes }) => processes)) {
    if (!isGroup(name))
      refuse('restart.processes', `names '${name}', which is not in [processes]. Add it there or take it out here.`)
  }
  for (const section of ['mounts', 'vms', 'metrics', 'checks'] as const) {
    for (const name of config[section].flatMap(({ processes }) => processes)) {
      if (!isGroup(name))
        warn(`fly.toml: ${section} names '${name}', which is not in [processes]; that part was passed over.`)
    }
  }
  return config
}

/** A section without `processes` belongs to group `app`, else to the first. */
export function belongs(processes: string[], group: string, config: FlyToml): boolean {
  if (processes.length > 0) return processes.includes(group)
  return group === (config.groups.has('app') ? 'app' : [...config.groups.keys()][0])
}

function parseToml(text: string): Table {
  try {
    return parse(text, { integersAsBigInt: true })
  } catch (cause) {
    throw new Problem('fly-config-invalid', `fly.toml is not valid TOML: ${(cause as Error).message}`, { cause })
  }
}

function readGroups(file: Section): Map<string, string[]> {
  const commands = Object.entries(file.texts('processes', false) ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return new Map(commands.map(([group, command]) => [group, words(`processes.${group}`, command)]))
}

const words = (key: string, command: string): string[] =>
  shellWords(command) ?? refuse(key, `has a quote that is not closed: ${command}`)

function readDeploy(file: Section, hasMounts: boolean, dedication: string | undefined): FlyToml['deploy'] {
  const deploy = file.section('deploy') ?? new Section('deploy', {}, () => {})
  const strategy = deploy.string('strategy')
  if (strategy && !(strategies as readonly string[]).includes(strategy))
    deploy.refuse('strategy', `is '${strategy}', which is none of ${strategies.join(', ')}.`)
  if (strategy === 'canary' && hasMounts)
    deploy.refuse('strategy', "is 'canary', which cannot be used with mounts. Use 'rolling'.")
  const maxUnavailable = deploy.number('max_unavailable') ?? null
  const waitNs = deploy.durationNs('wait_timeout', 'ns')
  const timeoutMs = (deploy.durationNs('release_command_timeout', 'ns') ?? releaseNs) / 1e6
  const [command, seed] = [deploy.string('release_command'), deploy.string('seed_command')]
  if (seed && words('deploy.seed_command', seed)) deploy.warn('seed_command', 'is not run by this builder.')
  const vm = deploy.section('release_command_vm')
  const guest = vm ? guestOf(vm, dedication) : null
  deploy.close()
  return {
    strategy: (strategy as Strategy | undefined) ?? null,
    maxUnavailable,
    waitMs: waitNs === undefined ? null : Math.max(waitNs / 1e6, 1000),
    release: command ? { command: words('deploy.release_command', command), guest, timeoutMs } : null,
  }
}

function readBuild(file: Section): FlyToml['build'] {
  const build = file.section('build')
  if (!build) return { args: {} }
  const compression = build.string('compression')
  if (compression && compression !== 'gzip' && compression !== 'zstd')
    build.refuse('compression', `is '${compression}', which is neither gzip nor zstd.`)
  const level = build.int('compression_level')
  if (level !== undefined && (level < 0 || level > 9))
    build.refuse('compression_level', `is ${level}; it goes from 0 to 9.`)
  const compose = build.section('compose')?.string('file')
  if (compose)
    build.refuse('compose.file', 'is not supported by this builder. Build one image with a Dockerfile instead.')
  const [image, dockerfile, target] = [build.string('image'), build.string('dockerfile'), build.string('build-target')]
  const args = build.texts('args', false) ?? {}
  for (const name of ['builder', 'buildpacks', 'builtin']) {
    if (build.raw(name) !== undefined)
      build.warn(name, 'is not used by this builder; it builds with railpack or a Dockerfile.')
  }
  build.close('settings', 'ignorefile')
  return withoutAbsent({ image, dockerfile, target, args })
}

function httpService(http: Section): Scoped<MachineService> {
  const tls = http.section('tls_options')
  const options = http.section('http_options')
  const forceHttps = http.bool('force_https')
  const both = { http_options: options && httpOptions(options) }
  const ports = [
    withoutAbsent({ port: 80, handlers: ['http'], force_https: forceHttps || undefined, ...both }),
    withoutAbsent({ port: 443, handlers: ['http', 'tls'], ...both, tls_options: tls && tlsOptions(tls) }),
  ]
  const concurrency = http.section('concurrency')
  const checks = http.sections('checks').map((check) => readCheck('http', check, 'ns'))
  const value = serviceOf(http, { protocol: 'tcp', ports, concurrency, checks })
  http.close('machine_checks')
  return scoped(http, value)
}

function service(section: Section): Scoped<MachineService>[] {
  if (section.isEmpty) return []
  const ports = section.sections('ports').map((port) => {
    const [tls, options] = [port.section('tls_options'), port.section('http_options')]
    const value = withoutAbsent({
      port: port.int('port', true),
      start_port: port.int('start_port'),
      end_port: port.int('end_port'),
      handlers: nonEmpty(port.strings('handlers')),
      force_https: port.bool('force_https') || undefined,
      tls_options: tls && tlsOptions(tls),
      http_options: options && httpOptions(options),
      proxy_proto_options: port.raw('proxy_proto_options'),
    })
    port.close()
    return value
  })
  const tcp = section.sections('tcp_checks').map((check) => readCheck('tcp', check, 'ms'))
  const http = section.sections('http_checks').map((check) => readCheck('http', check, 'ms'))
  const concurrency = section.section('concurrency')
  const value = serviceOf(section, {
    protocol: section.string('protocol'),
    ports,
    concurrency,
    checks: [...tcp, ...http],
  })
  section.close('machine_checks', 'script_checks')
  return [scoped(section, value)]
}

type ServiceParts = {
  protocol: string | undefined
  ports: object[]
  concurrency: Section | undefined
  checks: object[]
}

function serviceOf(section: Section, parts: ServiceParts): MachineService {
  const { protocol, ports, concurrency, checks } = parts
  return withoutAbsent({
    protocol,
    internal_port: section.int('internal_port', true) || undefined,
    autostop: autostop(section),
    autostart: section.bool('auto_start_machines'),
    min_machines_running: section.int('min_machines_running'),
    ports: nonEmpty(ports),
    checks: nonEmpty(checks),
    concurrency:
      concurrency &&
      withoutAbsent({
        type: concurrency.string('type'),
        hard_limit: concurrency.int('hard_limit') || undefined,
        soft_limit: concurrency.int('soft_limit') || undefined,
      }),
    force_instance_key: null, // flyctl always sends it
  })
}

function autostop(section: Section): boolean | string | undefined {
  const value = section.raw('auto_stop_machines')
  if (value === undefined || typeof value === 'boolean') return value
  const known: Record<string, boolean | string> = { off: false, stop: true, suspend: 'suspend' }
  const meant = known[value as string]
  return meant ?? section.refuse('auto_stop_machines', 'must be "off", "stop" or "suspend".')
}

function tlsOptions(section: Section): object {
  const value = withoutAbsent({
    alpn: section.strings('alpn'),
    versions: section.strings('versions'),
    default_self_signed: section.bool('default_self_signed'),
  })
  section.close()
  return value
}

function httpOptions(section: Section): object {
  const response = section.section('response')
  const value = withoutAbsent({
    compress: section.bool('compress'),
    response: response && withoutAbsent({ headers: response.raw('headers'), pristine: response.bool('pristine') }),
    h2_backend: section.bool('h2_backend'),
    idle_timeout: section.int('idle_timeout'),
    headers_read_timeout: section.int('headers_read_timeout'),
    replay_cache: section.raw('replay_cache'),
  })
  section.close()
  return plain(value)
}

/** The fields that all checks share. Methods of top-level checks are upper-cased by the caller. */
function readCheck(type: 'http' | 'tcp', check: Section, bare: 'ns' | 'ms') {
  const headers = Object.entries(check.texts('headers', false) ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const isTop = check.path.startsWith('checks.')
  const span = (name: 'interval' | 'timeout') => {
    const ns = check.durationNs(name, bare)
    if (ns === undefined) return undefined
    if (!isTop && (ns < 1e9 || ns > 60e9))
      check.warn(name, 'is outside 1 s to 1 min; Fly moves it to the nearest of these.')
    return formatDuration(ns)
  }
  const value = withoutAbsent({
    type,
    interval: span('interval'),
    timeout: span('timeout'),
    grace_period: check.duration('grace_period', bare),
    method: check.string('method'),
    path: check.string('path'),
    protocol: check.string('protocol'),
    tls_skip_verify: check.bool('tls_skip_verify'),
    tls_server_name: check.string('tls_server_name'),
    headers: nonEmpty(headers.map(([name, text]) => ({ name, values: [text] }))),
  })
  if (!isTop) check.close('restart_limit')
  return value
}

function topCheck(name: string, section: Section): FlyToml['checks'][number] {
  const type = section.string('type')
  if (type !== 'http' && type !== 'tcp') return section.refuse('type', "must be 'http' or 'tcp'.")
  if ((section.durationNs('interval', 'ms') ?? 2e9) < 2e9) section.refuse('interval', 'must be 2 s or more.')
  if ((section.durationNs('timeout', 'ms') ?? 0) > 60e9) section.refuse('timeout', 'must be 60 s or less.')
  const shared = readCheck(type, section, 'ms')
  const port = section.int('port', true)
  const method = shared.method?.toUpperCase()
  const check = withoutAbsent({ port, kind: section.string('kind'), ...shared, method })
  const value = scoped(section, { name, check })
  section.close('restart_limit')
  return value
}

function mount(section: Section): Scoped<Mount> & { volume: VolumeSize } {
  const size = section.string('initial_size')
  const bytes = size === undefined ? undefined : /^\d+$/.test(size) ? Number(size) * 1e9 : sizeBytes(size, 1000)
  if (bytes === null) section.refuse('initial_size', `must be a size such as "10gb", not "${size}".`)
  if (bytes !== undefined && bytes < 1e9) section.refuse('initial_size', 'must be 1gb or more.')
  const retention = section.int('snapshot_retention')
  if (retention !== undefined && (retention < 1 || retention > 60))
    section.refuse('snapshot_retention', 'goes from 1 to 60 (days).')
  const threshold = section.int('auto_extend_size_threshold') || undefined
  const increment = gigabytes(section, 'auto_extend_size_increment', 1, 100)
  const limit = gigabytes(section, 'auto_extend_size_limit', 1, 500)
  if (threshold !== undefined && (threshold < 50 || threshold > 99))
    section.refuse('auto_extend_size_threshold', 'goes from 50 to 99 (percent).')
  if (threshold !== undefined && increment === undefined)
    section.refuse('auto_extend_size_increment', 'is needed beside auto_extend_size_threshold.')
  const value = withoutAbsent({
    path: section.string('destination'),
    name: section.string('source'),
    extend_threshold_percent: threshold,
    add_size_gb: increment,
    size_gb_limit: limit,
  })
  const mounted = scoped(section, value)
  section.close('scheduled_snapshots', 'keep_volume')
  const volume = { size_gb: Math.floor((bytes ?? 1e9) / 1e9), snapshot_retention: retention }
  return { ...mounted, volume: withoutAbsent(volume) }
}

function gigabytes(section: Section, name: string, least: number, most: number): number | undefined {
  const text = section.string(name)
  if (text === undefined) return undefined
  const bytes = /^\d+$/.test(text) ? Number(text) * 1e9 : (sizeBytes(text, 1000) ?? Number.NaN)
  const size = Math.floor(bytes / 1e9)
  if (size === 0) return undefined
  return size >= least && size <= most ? size : section.refuse(name, `goes from ${least}gb to ${most}gb.`)
}

function metrics(section: Section): object {
  const value = { port: section.int('port'), path: section.string('path'), https: section.bool('https') || undefined }
  return withoutAbsent(value)
}

function restart(section: Section): Scoped<object> {
  const policy = section.string('policy') ?? ''
  const meant = { always: 'always', never: 'no', 'on-failure': 'on-failure' }[policy]
  if (!meant) section.refuse('policy', "must be 'always', 'never' or 'on-failure'.")
  const value = scoped(section, withoutAbsent({ policy: meant, max_retries: section.int('retries') || undefined }))
  section.close()
  return value
}

/** Every group gets all files, whatever `processes` says; of two with one path the last wins. Both as flyctl does it. */
function readFiles(file: Section, readFile: ReadFile): object[] {
  const byPath = new Map<string, object>()
  for (const section of file.sections('files')) {
    const [guest, local, raw] = [
      section.string('guest_path'),
      section.string('local_path'),
      section.string('raw_value'),
    ]
    const bytes = local === undefined ? null : readFile(local)
    if (local !== undefined && bytes === null)
      section.refuse('local_path', `names ${local}, which is not in the source.`)
    const base64 = bytes?.toString('base64') ?? (raw && Buffer.from(raw).toString('base64'))
    if (section.strings('processes')) section.warn('processes', 'has no effect: every process group gets the file.')
    byPath.set(
      guest ?? '',
      withoutAbsent({ guest_path: guest, raw_value: base64, secret_name: section.string('secret_name') }),
    )
    section.close()
  }
  return [...byPath.values()]
}

/** `machine_config`, at the top or in [experimental]: JSON, or the path of a JSON file. */
function readBase(file: Section, experimental: Section | undefined, readFile: ReadFile): MachineConfig {
  const section = file.raw('machine_config') === undefined ? experimental : file
  const given = section?.string('machine_config')
  if (!section || given === undefined) return {}
  const json = given.trimStart().startsWith('{') ? given : readFile(given)?.toString()
  if (json === undefined) return section.refuse('machine_config', `names ${given}, which is not in the source.`)
  try {
    const value: unknown = JSON.parse(json)
    if (isTable(value)) return value
  } catch {
    // Said below.
  }
  return section.refuse('machine_config', 'is not a JSON object.')
}

function checkService(
  service: MachineService,
  processes: string[],
  groupCount: number,
  isGroup: (name: string) => boolean,
  warn: Warn,
): void {
  const which = `the service on port ${service.internal_port ?? '(none)'}`
  if (processes.length === 0 && groupCount > 0)
    refuse(
      'services.processes',
      `is missing: ${which} must say which of the ${groupCount} groups of [processes] it is for.`,
    )
  for (const name of processes) {
    if (!isGroup(name))
      refuse(
        'services.processes',
        `names '${name}' for ${which}, which is not in [processes]. Add it there or take it out here.`,
      )
  }
  if (!service['ports']) warn(`fly.toml: ${which} has no ports; it cannot be reached.`)
}

function scoped<T>(section: Section, value: T): Scoped<T> {
  return { processes: section.strings('processes') ?? [], value }
}

const staticFiles = (section: Section): object => {
  const names = ['guest_path', 'url_prefix', 'tigris_bucket', 'index_document'] as const
  return Object.fromEntries(names.map((name) => [name, section.string(name) ?? '']))
}

const nonEmpty = <T>(list: T[] | undefined): T[] | undefined => (list && list.length > 0 ? list : undefined)

type Present<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}
const withoutAbsent = <T extends object>(value: T): Present<T> =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Present<T>

/** Integers of the file as plain numbers, all the way down. */
function plain(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? Number(item) : item)),
  ) as object
}
