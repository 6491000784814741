import type { MachineFacts, MachineSeen, SeenEvent } from '#api/machines/deployed-machine.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { SecretVersion } from '#api/release.ts'
import type { MachineConfig } from '#fly/machine.ts'
import type { FlyRelease } from '#fly/releases-api.ts'
import type { DesiredApp } from './config/desired-app.ts'

/**
 * All that must survive a crash of the gateway while machines change. Plain data, saved before
 * every effect.
 */
export type DeployProgress = {
  desired: DesiredApp
  /** In the order in which the engine applies them. */
  steps: MachineStep[]
  /** Why the deploy is rolling back. Null: it is not. */
  rollbackReason: ProblemBody | null
  /** The watch is over. Only cleanup is left. */
  live: boolean
  /** By group: the config that its first machine got. Older records lack it. */
  appliedConfig?: Record<string, MachineConfig>
  /** The app's secrets on Fly before the first machine changed. Absent: not known. */
  secrets?: SecretVersion[]
  /** Fly's own release of the deploy. Absent: not asked for. */
  flyRelease?: FlyReleaseProgress
}

export type FlyReleaseProgress = {
  /** The version of the app's newest release before the request. 0: it had none. */
  after: number
  /** Null: the answer is not known. A newer release with this image may be ours. */
  made: Pick<FlyRelease, 'id' | 'version'> | null
}

/** A copy that later changes of the progress do not change. The configs are never changed. */
export const snapshotOf = (progress: DeployProgress): DeployProgress => ({
  ...progress,
  steps: progress.steps.map((step) => ({ ...step, volumes: { ...step.volumes } })),
})

/**
 * What a machine is for. `update`: it gets the release. `new`, `green`: it is created for the
 * release; greens stay cordoned until all are healthy. `canary`, `releaseCommand`: it is
 * temporary. `tested`, `machineCheck`: temporary, for `machine_checks`; the first runs the release,
 * the others test it. `blue`: a green replaces it. `gone`: it is no longer wanted.
 */
export type Role =
  | 'update'
  | 'new'
  | 'green'
  | 'canary'
  | 'releaseCommand'
  | 'tested'
  | 'machineCheck'
  | 'blue'
  | 'gone'

/** Whether a machine is for one part of the deploy alone. Records do not count it. */
export const isOneOff = (role: Role): boolean =>
  role === 'releaseCommand' || role === 'tested' || role === 'machineCheck'

export type Effect = 'create' | 'update' | 'start' | 'uncordon' | 'cordon' | 'stop' | 'destroy'

/** One machine of the deploy. */
export type MachineStep = {
  role: Role
  /** For a new machine: unique, and the same after a crash, so that it is never created twice. */
  name: string
  group: string
  region: string
  machine: string | null
  /** What the machine ran before. Null: this deploy creates it. */
  previous: PreviousVersion | null
  /** The config that a new machine takes over from an existing one. */
  base: MachineConfig | null
  /** The name of the step whose standby this machine is. */
  standbyFor: string | null
  /** For a green: the id of the machine that it replaces. Older records lack it. */
  replaces?: string
  /** The volumes chosen for a new machine, by mount name. */
  volumes: Record<string, string>
  /** Which of its group's machine checks this machine runs, from 0. */
  check?: number
  /** False: the deploy does not start the machine, for example because it did not run before. */
  launch: boolean
  /** The machine did not run. The deploy starts it as a test and stops it again. */
  stopAfterwards: boolean
  /** What is wrong with the machine although the release is live. */
  warning?: string
  /** The last effect that was about to happen. */
  intent: Effect | null
  /** Null until the first effect on the machine is about to happen. */
  outcome: MachineFacts['outcome'] | null
  /** The version that this deploy created on the machine. */
  attempted: Version | null
  /** The version that the machine runs now, as far as known. */
  now: Version | null
  /** What Fly says happened on the attempted version, newest first. */
  events?: SeenEvent[]
  /** Fly's release that the machine's config names. */
  marked?: string
  /** Nonce of the last lease, so that after a crash nothing waits for its expiry. */
  lease: string | null
}

export function newStep(role: Role, group: string, region: string, name: string): MachineStep {
  const untouched = { intent: null, outcome: null, attempted: null, now: null, lease: null }
  const fresh = {
    machine: null,
    previous: null,
    base: null,
    standbyFor: null,
    volumes: {},
    launch: true,
    stopAfterwards: false,
  }
  return { role, name, group, region, ...fresh, ...untouched }
}

export type Version = { instanceId: string; image: string; seen?: MachineSeen }

export type PreviousVersion = Version & {
  digest: string | null
  config: MachineConfig
  running: boolean
  /**
   * It was meant not to run, for example stopped. A failed machine is neither `running` nor
   * `asleep`.
   */
  asleep: boolean
  cordoned: boolean
  /** It passed its checks, so it must pass them again after a rollback. */
  healthy: boolean
  crashes: number
}
