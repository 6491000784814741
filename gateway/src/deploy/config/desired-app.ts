import type { Strategy } from '#api/options/strategy.ts'
import type { Guest, MachineConfig } from '#fly/machine.ts'
import type { FlyToml } from '../../flytoml/read-fly-toml.ts'
import type { Definition } from './definition.ts'

/** What an app should run, without the image. Plain data, stored with the deployment. */
export type DesiredApp = {
  groups: DesiredGroup[]
  strategy: Strategy
  /** How many machines of a group may be unavailable at once: a share if below 1, else a count. */
  maxUnavailable: number
  /**
   * How long a machine may take to start, and again to pass checks. Null: the gateway's setting.
   */
  waitMs: number | null
  /** The release command. It must end before any machine is touched. */
  releaseCommand: { config: MachineConfig; timeoutMs: number } | null
  volumes: FlyToml['volumes']
  /** For new machines. Existing ones keep theirs; only fly.toml can change a guest. */
  region: string
  guest: Guest
  /** The port where the app listens: that of the first service. */
  internalPort: number | null
  build: FlyToml['build']
  /** What Fly keeps of the config, for flyctl. Releases of older gateways lack it. */
  definition?: Definition
  /** Warnings for the log: what the gateway ignored or read differently. */
  warnings: string[]
}

/** `config` has neither the image nor Tarmac's own metadata. */
export type DesiredGroup = {
  name: string
  config: MachineConfig
  whenNone: 'one' | 'two' | 'one-and-standby'
  /** How many machines to create for a group without any. Null: not specified. */
  count: number | null
  /** Machines that test the release before any machine is touched. Few groups have such checks. */
  machineChecks?: MachineConfig[]
  /**
   * In a release: the config that its machines got, including settings that Tarmac does not manage.
   */
  lastApplied?: MachineConfig
  /** Config paths to remove from the machines. `config` does not contain them. */
  removedPaths?: string[]
}
