import type { DeploymentOptions } from '#api/options.ts'
import type { Strategy } from '#api/options/strategy.ts'
import { Problem } from '#api/problem.ts'
import type { Guest, MachineConfig } from '#fly/machine.ts'
import { markChars, volumeMark } from '../../deployments/owners/owner-marks.ts'
import { refuseManyGroups } from '../../flytoml/group-limits.ts'
import { readFlyConfig } from '../../flytoml/read-fly-toml.ts'
import type { ReadSource } from '../../host/read-source-file.ts'
import { definitionOf, withEnv } from './definition.ts'
import type { DesiredApp, DesiredGroup } from './desired-app.ts'
import { refuseLargeConfigs } from './desired-size.ts'
import { memoryWarnings, portWarnings, signalWarnings } from './contradictions.ts'
import { serviceToml } from './service-toml.ts'

/** Fly's limit, in characters. */
const maxVolumeName = 30

/** flyctl's default for `max_unavailable`. */
const defaultMaxUnavailable = 0.33

/** Without fly.toml: one HTTP service that stops when idle, and a check that it listens. */
const defaultToml = (port = 8080) =>
  `${serviceToml(port)}tcp_checks = [{ interval = "5s", timeout = "2s", grace_period = "1s" }]\n`

/** For what nothing else says. `port`: where the app listens. */
type Defaults = { region: string; guest?: Guest; port?: number | undefined }

/**
 * Options override the source's config file, which overrides the defaults. `path` and `flyToml` are
 * the path and the text of that file. `readFile` reads a file of the source.
 */
export function desiredApp(input: {
  flyToml?: string | null
  path?: string | undefined
  app: string
  options: DeploymentOptions
  defaults: Defaults
  /** What is to be said about the choice of the config file. */
  warnings?: string[]
  readFile?: ReadSource
}): DesiredApp {
  const { options, defaults, path = 'fly.toml' } = input
  const warnings = [...(input.warnings ?? [])]
  const file = readFlyConfig(
    input.flyToml ?? defaultToml(defaults.port),
    input.readFile ?? (() => null),
    (text) => warnings.push(text),
    path,
  )
  if (file.app !== null && file.app !== input.app)
    warnings.push(
      `${path} is for app ${file.app}; it is used for ${input.app}, as the request says.`,
    )

  refuseManyGroups(file.groups.size, sizeOfEnv(options))
  const groups = [...file.groups].map(([name, config]) => {
    const machineChecks = file.machineChecks.get(name) ?? []
    const group = desiredGroup(name, config, options)
    return machineChecks.length > 0 ? { ...group, machineChecks } : group
  })

  const internalPort =
    groups.map(({ config }) => portOf(config)).find((port) => port !== null) ?? null
  if (internalPort === null)
    warnings.push(`${path} names no service, so nothing outside can reach the app.`)
  warnings.push(...portWarnings(groups), ...signalWarnings(groups), ...memoryWarnings(groups))
  const strategy = options.strategy ?? file.strategy ?? 'rolling'
  refuseNotApplicable(strategy, groups)

  const { releaseCommand } = file
  const region = options.region ?? file.primaryRegion ?? defaults.region
  const desired: DesiredApp = {
    groups,
    strategy,
    maxUnavailable: file.maxUnavailable ?? defaultMaxUnavailable,
    waitMs: file.waitMs,
    releaseCommand: releaseCommand && {
      config: { ...releaseCommand.config, env: { ...releaseCommand.config.env, ...options.env } },
      timeoutMs: releaseCommand.timeoutMs,
    },
    volumes: file.volumes,
    region,
    guest: defaults.guest ?? { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    internalPort,
    build: file.build,
    definition: definitionOf(file.values, { region, groups }, options.env),
    warnings,
  }
  refuseLargeConfigs(desired)
  return desired
}

const sizeOfEnv = ({ env }: DeploymentOptions) => ({
  sizeChars: JSON.stringify(env).length,
  parts: Object.keys(env).length,
})

function desiredGroup(
  name: string,
  config: MachineConfig,
  options: DeploymentOptions,
): DesiredGroup {
  const port = portOf(config)
  const env = { ...(port !== null && { PORT: `${port}` }), ...config.env, ...options.env }
  return {
    name,
    config: { ...config, env },
    whenNone: whenNone(config, options),
    count: options.count,
  }
}

function whenNone(config: MachineConfig, { ha }: DeploymentOptions): DesiredGroup['whenNone'] {
  if (!ha || config.mounts) return 'one'
  return portOf(config) === null ? 'one-and-standby' : 'two'
}

/** Applies these options to an older desired state, to deploy it without a source. */
export function withOptions(desired: DesiredApp, options: DeploymentOptions): DesiredApp {
  refuseManyGroups(desired.groups.length, sizeOfEnv(options))
  const { definition } = desired
  const configWithEnv = (config: MachineConfig) => ({
    ...config,
    env: { ...config.env, ...options.env },
  })
  const groups = desired.groups.map((group) =>
    Object.assign({}, group, {
      config: configWithEnv(group.config),
      count: options.count ?? group.count,
      ...(options.ha && { whenNone: whenNone(group.config, options) }),
    }),
  )

  const strategy = options.strategy ?? desired.strategy
  refuseNotApplicable(strategy, groups)
  return {
    ...desired,
    groups,
    strategy,
    releaseCommand: desired.releaseCommand && {
      ...desired.releaseCommand,
      config: configWithEnv(desired.releaseCommand.config),
    },
    region: options.region ?? desired.region,
    ...(definition && { definition: withEnv(definition, options.env) }),
  }
}

/**
 * Adapts the desired state to one owner in a shared app. Volume names become the owner's own, so
 * that no machine gets data of another owner. The owner's options, not the release, set the number
 * of machines. Without an owner, volume names lose their owner marks.
 */
export function forOwner(desired: DesiredApp, options: DeploymentOptions): DesiredApp {
  const { owner, count } = options
  const mark = owner === null ? null : volumeMark(owner)
  const own = (name = '') => {
    const bare = withoutMarks(name)
    return mark === null ? bare : bare.slice(0, maxVolumeName - mark.length) + mark
  }

  const groups = desired.groups.map((group) => {
    const { config } = group
    const mounts = config.mounts?.map((mount) =>
      Object.assign({}, mount, mount.name && { name: own(mount.name) }),
    )
    return Object.assign({}, group, {
      config: { ...config, ...(mounts && { mounts }) },
      ...(owner !== null && { count, whenNone: whenNone(config, options) }),
    })
  })

  const volumes = Object.fromEntries(
    Object.entries(desired.volumes).map(([name, size]) => [own(name), size]),
  )
  return { ...desired, groups, volumes }
}

/** Removes all marks at the end, because a source may have written several. */
function withoutMarks(name: string): string {
  let bare = name
  while (/^_o[\da-f]{11}$/.test(bare.slice(-markChars))) bare = bare.slice(0, -markChars)
  return bare
}

const portOf = (config: MachineConfig): number | null => config.services?.[0]?.internal_port ?? null

/** Checks the strategy without looking at machines. `assertStrategyApplies` does that. */
function refuseNotApplicable(strategy: Strategy, groups: DesiredGroup[]): void {
  const mounted = groups.find(({ config }) => config.mounts)
  if (mounted && (strategy === 'canary' || strategy === 'bluegreen'))
    throw notApplicable(
      strategy,
      `group ${mounted.name} mounts a volume, and a volume is on one machine only`,
    )
  if (strategy === 'bluegreen' && !groups.some(isChecked))
    throw notApplicable(
      strategy,
      'there is no check that says when the new machines are ready',
      'Add one to a service, or use strategy=rolling',
    )
}

export const notApplicable = (
  strategy: Strategy,
  why: string,
  next = 'Use strategy=rolling',
): Problem =>
  new Problem('strategy-not-applicable', `Strategy ${strategy} cannot be used: ${why}. ${next}.`, {
    facts: { strategy },
  })

const isChecked = ({ config }: DesiredGroup): boolean =>
  Object.keys(config.checks ?? {}).length > 0 ||
  config.services?.some(({ checks }) => checks?.length) === true
