import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { MachineConfig } from '../fly/machine.ts'
import { readFlyToml, type FlyToml, type ReadFile } from './fly-toml.ts'
import type { Guest } from './guest.ts'
import { machineConfig } from './machine-config.ts'

/** What an app should run, but for the image: plain data, kept with the deployment. */
export type DesiredApp = {
  groups: DesiredGroup[]
  strategy: 'rolling'
  /** Of machines that are made new; those that exist keep theirs unless fly.toml says otherwise. */
  region: string
  guest: Guest
  /** Of mounts: how large a volume is made, in GB, where fly.toml says it. */
  volumeGb: Record<string, number>
  /** Where the app listens: the first service's port. */
  internalPort: number | null
  build: FlyToml['build']
  /** What was passed over or meant otherwise, for the log. */
  warnings: string[]
}
/** `config` without image and without our own marks; `count`: how many to make when there is none. */
export type DesiredGroup = { name: string; config: MachineConfig; count: number }

/** What a source without fly.toml gets: one HTTP service that sleeps when nobody asks, and a check that it listens. */
const defaultToml = `
[[services]]
protocol = "tcp"
internal_port = 8080
auto_stop_machines = "stop"
auto_start_machines = true
min_machines_running = 0
ports = [{ port = 80, handlers = ["http"] }, { port = 443, handlers = ["http", "tls"] }]
tcp_checks = [{ interval = "5s", timeout = "2s", grace_period = "1s" }]
`

/** Defaults, under the source's fly.toml, under the options. `readFile` reads from the source. */
export function desiredApp(given: {
  flyToml: string | null
  app: string
  options: DeploymentOptions
  defaults: { region: string; guest?: Guest }
  readFile?: ReadFile
}): DesiredApp {
  const { options, defaults } = given
  const warnings: string[] = []
  const file = readFlyToml(given.flyToml ?? defaultToml, given.readFile ?? (() => null), (text) => warnings.push(text))
  if (file.app !== null && file.app !== given.app)
    warnings.push(`fly.toml is for app ${file.app}; it is used for ${given.app}, as the request says.`)
  const groups = [...file.groups.keys()].map((name) => desiredGroup(file, name, options))
  const internalPort = groups.map(({ config }) => portOf(config)).find((port) => port !== null) ?? null
  if (internalPort === null) warnings.push('fly.toml names no service, so nothing outside can reach the app.')
  return {
    groups,
    strategy: strategyOf(file, options, warnings),
    region: options.region ?? file.primaryRegion ?? defaults.region,
    guest: defaults.guest ?? { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    volumeGb: file.volumeGb,
    internalPort,
    build: file.build,
    warnings,
  }
}

function desiredGroup(file: FlyToml, name: string, options: DeploymentOptions): DesiredGroup {
  const config = machineConfig(file, name)
  const port = portOf(config)
  const env = { ...(port !== null && { PORT: `${port}` }), ...config.env, ...options.env }
  return { name, config: { ...config, env }, count: options.count ?? 1 }
}

/** An older wish once more, with these options over it: what an image or a release is deployed as that comes without a source. */
export function desiredAgain(desired: DesiredApp, options: DeploymentOptions): DesiredApp {
  const warnings: string[] = []
  const groups = desired.groups.map(({ name, config, count }) => {
    const again = { ...config, env: { ...config.env, ...options.env } }
    return { name, config: again, count: options.count ?? count }
  })
  return { ...desired, groups, region: options.region ?? desired.region, warnings }
}

const portOf = (config: MachineConfig): number | null => config.services?.[0]?.internal_port ?? null

function strategyOf(file: FlyToml, options: DeploymentOptions, warnings: string[]): 'rolling' {
  if (options.strategy && options.strategy !== 'rolling')
    throw new Problem(
      'option-invalid',
      `strategy=${options.strategy} is not available yet; this builder knows strategy=rolling.`,
      {
        facts: { option: 'strategy' },
      },
    )
  if (file.strategy && file.strategy !== 'rolling' && !options.strategy)
    warnings.push(`fly.toml asks for strategy ${file.strategy}, which is not available yet; rolling is used.`)
  return 'rolling'
}
