import type { MachineConfig } from '#fly/machine.ts'
import type { DesiredGroup } from '../config/desired-app.ts'
import { mergeConfig, type OwnershipMetadata } from '../config/merge-config.ts'
import type { Execution } from '../execution.ts'
import { isOneOff, type MachineStep } from '../progress.ts'

/** The config that an existing machine gets. */
export function updatedConfig(execution: Execution, step: MachineStep): MachineConfig {
  const present = step.previous?.config ?? {}
  const config = mergeConfig(present, desiredGroupOf(execution, step), ownershipOf(execution))
  const [active] = config.standbys ?? []
  const green = execution.progress.steps.find(({ replaces }) => active && replaces === active)
  return withActive(config, green?.machine)
}

/**
 * The config of a new machine. It starts from an existing machine's config, `step.base`, if any.
 */
export function createdConfig(execution: Execution, step: MachineStep): MachineConfig {
  const { desired, steps } = execution.progress
  const group = desiredGroupOf(execution, step)
  const base = { guest: group.lastApplied?.guest ?? desired.guest, ...step.base }
  const ownership = ownershipOf(execution)
  // A machine check may have an image of its own.
  const image = step.role === 'machineCheck' ? group.config.image : undefined
  const config = mergeConfig(
    base,
    group,
    image
      ? { ...ownership, image: { reference: image, digest: '', tags: [] }, builder: null }
      : ownership,
  )

  if (step.role === 'canary' || step.role === 'tested') {
    const dns = { ...config.dns, skip_registration: true }
    return { ...config, dns, metadata: { ...config.metadata, fly_canary: 'true' } }
  }
  const active = step.standbyFor && steps.find(({ name }) => name === step.standbyFor)?.machine
  return withActive(config, active)
}

/** The config of a machine that stands by for machine `active`, if one is given. */
const withActive = (config: MachineConfig, active: string | null | undefined): MachineConfig =>
  active
    ? { ...config, standbys: [active], env: { ...config.env, FLY_STANDBY_FOR: active } }
    : config

/** Records the config for the later release. Temporary machines do not count. */
export function recordApplied(
  { progress }: Execution,
  step: MachineStep,
  config: MachineConfig,
): void {
  const { role, group } = step
  const mark = config.metadata?.['fly_release_id']
  if (mark) step.marked = mark
  if (!isOneOff(role) && role !== 'canary')
    progress.appliedConfig = { [group]: config, ...progress.appliedConfig }
}

function desiredGroupOf(
  { progress: { desired } }: Execution,
  { role, group, check = 0 }: MachineStep,
): Pick<DesiredGroup, 'config' | 'lastApplied' | 'removedPaths'> {
  if (role === 'releaseCommand') return desired.releaseCommand ?? { config: {} }
  const found = desired.groups.find(({ name }) => name === group) ?? { config: {} }
  return role === 'machineCheck' ? { config: checkConfig(found, check) } : found
}

/** A machine check has its group's environment too. */
function checkConfig(
  { config, machineChecks = [] }: Pick<DesiredGroup, 'config' | 'machineChecks'>,
  index: number,
): MachineConfig {
  const check = machineChecks[index] ?? {}
  return { ...check, env: { ...config.env, ...check.env } }
}

/**
 * Fly looks for an image in the mirror on the host of this machine. Null if the image went another
 * way, or an earlier machine of the gateway pushed it: that machine and its host may be gone, and
 * the registry has each image that went through a mirror.
 */
const builderOf = ({ settings, job }: Execution): string | null =>
  job.image.push?.machine === settings.builder ? settings.builder : null

function ownershipOf(execution: Execution): OwnershipMetadata {
  const { job, progress } = execution
  return {
    image: job.image,
    deployment: job.id,
    number: job.number,
    owner: job.options.owner,
    builder: builderOf(execution),
    preview: job.preview ?? null,
    flyRelease: progress.flyRelease?.made ?? null,
  }
}
