import type { MachineConfig } from '../fly/machine.ts'
import { belongs, type FlyToml } from './fly-toml.ts'
import { refuse } from './toml-section.ts'

/** The machine config of one process group, as flyctl makes it of a fly.toml, before image, volumes and our own marks. */
export function machineConfig(file: FlyToml, group: string): MachineConfig {
  const of = <T>(scoped: { processes: string[]; value: T }[]): T[] =>
    scoped.filter(({ processes }) => belongs(processes, group, file)).map(({ value }) => value)
  const command = file.groups.get(group) ?? []
  const guest = (
    file.vms.find(({ processes }) => processes.includes(group)) ??
    file.vms.find(({ processes }) => processes.length === 0)
  )?.value
  const checks = of(file.checks).map(({ name, check }) => [
    name,
    { ...check, port: check.port ?? inheritedPort(file, group, name) },
  ])
  const [services, mounts] = [of(file.services), of(file.mounts)]
  const [metrics, restart] = [of(file.metrics)[0], of(file.restarts).at(-1)]
  const { init: baseInit, env: _env, metadata, ...base } = file.base
  return {
    ...base,
    init: { ...baseInit, ...file.init, ...(command.length > 0 && { cmd: command }) },
    env: {
      ...file.env,
      FLY_PROCESS_GROUP: group,
      ...(file.primaryRegion && { PRIMARY_REGION: file.primaryRegion }),
    },
    metadata: { ...metadata, fly_platform_version: 'v2', fly_process_group: group },
    ...(services.length > 0 && { services }),
    ...(checks.length > 0 && { checks: Object.fromEntries(checks) }),
    ...(mounts.length > 0 && { mounts }),
    ...(file.statics.length > 0 && { statics: file.statics }),
    ...(file.files.length > 0 && { files: file.files }),
    ...(file.stopConfig && { stop_config: file.stopConfig }),
    ...(metrics && { metrics }),
    ...(restart && { restart }),
    ...(guest && { guest }),
  }
}

/** The machine config of the release command, as flyctl makes it; null where there is none. */
export function releaseMachine({ deploy, env, primaryRegion, init, stopConfig, files }: FlyToml): MachineConfig | null {
  if (!deploy.release) return null
  const { command, guest } = deploy.release
  const { entrypoint, swap_size_mb } = init
  const group = 'fly_app_release_command'
  return {
    init: { cmd: command, ...(entrypoint && { entrypoint }), ...(swap_size_mb && { swap_size_mb }) },
    env: {
      ...env,
      FLY_PROCESS_GROUP: group,
      RELEASE_COMMAND: '1',
      ...(primaryRegion && { PRIMARY_REGION: primaryRegion }),
    },
    metadata: { fly_platform_version: 'v2', fly_process_group: group },
    restart: { policy: 'no' },
    auto_destroy: true,
    dns: { skip_registration: true },
    ...(files.length > 0 && { files }),
    ...(stopConfig && { stop_config: stopConfig }),
    ...(guest && { guest }),
  }
}

function inheritedPort(file: FlyToml, group: string, check: string): number {
  const http = file.httpPort
  if (http && belongs(http.processes, group, file)) return http.port
  return refuse(`checks.${check}.port`, `is missing, and group '${group}' has no http_service to take it from.`)
}
