import type { Guest, MachineCheck, MachineConfig, MachineService } from '#fly/machine.ts'
import { shellWords } from '../go/shell-words.ts'
import { guestOf } from './guest.ts'
import { defined, nonEmpty, refuse } from './schema.ts'
import type { Sections } from './sections.ts'
import { sizeIn } from './size.ts'

type Item<K extends 'services' | 'mounts' | 'metrics' | 'statics'> = NonNullable<
  Sections[K]
>[number]
type HttpService = NonNullable<Sections['http_service']>
type Check = NonNullable<Sections['checks']>[string]

/** What the machine configs are made from. */
export type ConfigSource = {
  sections: Sections
  /** The process group of sections without `processes`. */
  defaultGroup: string | undefined
  /** From `[[files]]`, in the format of machine configs. */
  files: object[]
  /** From `machine_config`. Everything else overrides it. */
  base: MachineConfig
}

/**
 * The machine config of one process group, as flyctl makes it from a fly.toml. Image, volumes and
 * Tarmac's own metadata come later.
 */
export function machineConfig(file: ConfigSource, group: string): MachineConfig {
  const { sections } = file
  const inGroup = <T extends { processes?: string[] }>(list: T[] | undefined): T[] =>
    (list ?? []).filter(({ processes }) => belongs(processes, group, file))

  const [http] = inGroup(sections.http_service && [sections.http_service])
  const services = [
    ...(http ? [httpService(http)] : []),
    ...inGroup(sections.services).map(service),
  ]
  const checks = Object.entries(sections.checks ?? {})
    .filter(([, { processes }]) => belongs(processes, group, file))
    .map(([name, check]): [string, MachineCheck] => [
      name,
      topCheck(check, http, `checks.${name}.port`, group),
    ])

  const mounts = inGroup(sections.mounts).map(machineMount)
  const restart = inGroup(sections.restart).at(-1)
  const { init, metadata, ...base } = file.base
  const { cmd, entrypoint, exec } = sections.experimental ?? {}
  const command = sections.processes?.[group]

  return defined({
    ...base,
    init: defined({
      ...init,
      cmd: command ? nonEmpty(shellWords(command).words) : cmd,
      entrypoint,
      exec,
      swap_size_mb: sections.swap_size_mb,
    }),
    ...identity(file, group, metadata),
    services: nonEmpty(services),
    checks: checks.length > 0 ? Object.fromEntries(checks) : undefined,
    mounts: nonEmpty(mounts),
    statics: sections.statics?.map(machineStatic),
    ...everywhere(file),
    metrics: machineMetrics(inGroup(sections.metrics)[0]),
    restart: restart && defined({ policy: restart.policy, max_retries: restart.retries }),
    guest: groupGuest(file, group) ?? base.guest,
  })
}

/**
 * The machine config of the release command, as flyctl makes it. Null: there is no release command.
 */
export function releaseMachine(file: ConfigSource): MachineConfig | null {
  const { deploy, experimental, swap_size_mb, host_dedication_id } = file.sections
  if (!deploy?.release_command) return null
  const { env, metadata } = identity(file, 'fly_app_release_command')
  const vm = deploy.release_command_vm
  return defined({
    init: defined({
      cmd: nonEmpty(shellWords(deploy.release_command).words),
      entrypoint: experimental?.entrypoint,
      swap_size_mb,
    }),
    env: { ...env, RELEASE_COMMAND: '1' },
    metadata,
    restart: { policy: 'no' },
    auto_destroy: true,
    dns: { skip_registration: true },
    ...everywhere(file),
    guest: vm && guestOf(vm, 'deploy.release_command_vm', host_dedication_id),
  })
}

function belongs(
  processes: string[] | undefined,
  group: string,
  { defaultGroup }: ConfigSource,
): boolean {
  const isDefault = group === defaultGroup
  return processes ? processes.includes(group) || (isDefault && processes.includes('')) : isDefault
}

export const identity = (
  { sections }: ConfigSource,
  group: string,
  metadata?: Record<string, string>,
) => ({
  env: {
    ...sections.env,
    FLY_PROCESS_GROUP: group,
    ...(sections.primary_region && { PRIMARY_REGION: sections.primary_region }),
  },
  metadata: { ...metadata, fly_platform_version: 'v2', fly_process_group: group },
})

const everywhere = ({
  files,
  sections: { kill_timeout: timeout, kill_signal: signal },
}: ConfigSource) => ({
  files: nonEmpty(files),
  stop_config:
    timeout === undefined && signal === undefined ? undefined : defined({ timeout, signal }),
})

function httpService(http: HttpService): MachineService {
  const { force_https, http_options, tls_options, checks } = http
  const ports = [
    defined({ port: 80, handlers: ['http'], force_https, http_options }),
    defined({ port: 443, handlers: ['http', 'tls'], http_options, tls_options }),
  ]
  return machineService(http, {
    protocol: 'tcp',
    ports,
    checks: checks?.map((check) => machineCheck('http', check)),
  })
}

function service(section: Item<'services'>): MachineService {
  const { protocol, ports, tcp_checks = [], http_checks = [] } = section
  const tcp = tcp_checks.map((check) => machineCheck('tcp', check))
  const checks = nonEmpty([...tcp, ...http_checks.map((check) => machineCheck('http', check))])
  return machineService(section, { protocol, ports, checks })
}

function machineService(
  section: HttpService | Item<'services'>,
  own: {
    protocol: string | undefined
    ports: object[] | undefined
    checks: MachineCheck[] | undefined
  },
): MachineService {
  return defined({
    ...own,
    internal_port: section.internal_port,
    autostop: section.auto_stop_machines,
    autostart: section.auto_start_machines,
    min_machines_running: section.min_machines_running,
    concurrency: section.concurrency,
    force_instance_key: null, // flyctl always sends it
  })
}

function machineCheck(
  type: string,
  { headers, ...check }: object & { headers?: Record<string, string> },
): MachineCheck {
  const pairs = Object.entries(headers ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return {
    type,
    ...check,
    ...(headers && { headers: pairs.map(([name, value]) => ({ name, values: [value] })) }),
  }
}

/** The port defaults to that of the group's `[http_service]`. */
function topCheck(
  check: Check,
  http: HttpService | undefined,
  key: string,
  group: string,
): MachineCheck {
  const { processes: _processes, type = '', port, method, ...rest } = check
  if (port === undefined && !http)
    refuse(key, `is missing, and group '${group}' has no http_service to take it from.`)
  return {
    port: port ?? http?.internal_port ?? 0,
    ...machineCheck(type, rest),
    ...(method !== undefined && { method: method.toUpperCase() }),
  }
}

const machineMount = (mount: Item<'mounts'>) =>
  defined({
    path: mount.destination,
    name: mount.source,
    extend_threshold_percent: mount.auto_extend_size_threshold,
    add_size_gb: gigabytes(mount.auto_extend_size_increment),
    size_gb_limit: gigabytes(mount.auto_extend_size_limit),
  })
const gigabytes = (size: string | undefined) =>
  size === undefined ? undefined : (sizeIn(size, 1e9) ?? undefined)

/** flyctl sends empty fields here. */
const machineStatic = (section: Item<'statics'>) => ({
  guest_path: '',
  url_prefix: '',
  tigris_bucket: '',
  index_document: '',
  ...section,
})

function machineMetrics(section: Item<'metrics'> | undefined): object | undefined {
  const { processes: _processes, port, path, https } = section ?? {}
  if (port === undefined && path === undefined && https === undefined) return undefined
  return defined({ port: port || undefined, path: path || undefined, https: https || undefined })
}

/** The last `[[vm]]` that names the group, else the first for all. */
function groupGuest(file: ConfigSource, group: string): Guest | undefined {
  const { sections } = file
  const vms = sections.vm ?? []
  const named = vms.findLastIndex(({ processes }) => processes?.includes(group))
  const index =
    named >= 0
      ? named
      : vms.findIndex(({ processes }) => !processes || belongs(processes, group, file))
  const vm = vms[index]
  return vm && guestOf(vm, `vm[${index}]`, vm.host_dedication_id ?? sections.host_dedication_id)
}
