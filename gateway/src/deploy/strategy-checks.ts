import { Problem } from '#api/problem.ts'
import { configOf, imageOf, type Machine, type Mount } from '#fly/machine.ts'
import type { DesiredApp } from './config/desired-app.ts'
import { notApplicable } from './config/desired.ts'
import { isSameMount } from './config/merge-config.ts'
import type { DeployJob } from './job.ts'
import { groupOf, isManaged } from './managed.ts'
import type { MachineStep } from './progress.ts'

/**
 * Throws before any machine is touched if the strategy or a mount does not fit the existing
 * machines. `kept`: the machines of desired groups.
 */
export function assertStrategyApplies(
  { strategy, groups }: DesiredApp,
  kept: Machine[],
  all: Machine[],
): void {
  const mounted = kept.find((machine) => configOf(machine).mounts?.length)
  if (mounted && (strategy === 'canary' || strategy === 'bluegreen'))
    throw notApplicable(
      strategy,
      `machine ${mounted.id} has a volume, which only one machine can have`,
    )

  if (strategy === 'bluegreen') {
    const isOfGroup = (machine: Machine) => groups.some(({ name }) => name === groupOf(machine))
    const detached = all.find(
      (machine) => !isManaged(machine) && isOfGroup(machine) && hasGroup(machine),
    )
    if (detached)
      throw notApplicable(
        strategy,
        `machine ${detached.id} is of a process group, but not the platform's (no v2)`,
      )
    const images = new Set(kept.map(imageOf))
    if (images.size > 1)
      throw notApplicable(strategy, `the machines run different images (${[...images].join(', ')})`)
  }

  for (const machine of kept) {
    const { mounts: present = [] } = configOf(machine)
    const wanted = groups.find(({ name }) => name === groupOf(machine))?.config.mounts ?? []
    const missing = wanted.find((mount) => !present.some((one) => isSameMount(one, mount)))
    // A machine without a volume is replaced.
    if (missing && present[0]) throw otherVolume(missing, present[0], machine)
  }
}

function otherVolume({ name = '' }: Mount, held: Mount, machine: Machine): Problem {
  const detail = `fly.toml mounts volume ${name}, and machine ${machine.id} of group ${groupOf(machine)} has volume ${held.volume} (${held.name}), which cannot be exchanged. Mount that one, or remove the machine; its volume stays, and the next deploy makes a new machine: fly machine stop ${machine.id}, then fly machine destroy ${machine.id}`
  return new Problem('fly-config-invalid', detail, {
    facts: { key: 'mounts', machine: machine.id },
  })
}

/**
 * Warnings about options that apply only to new machines, for groups that have machines already.
 * Each says what was not done, and how to do it.
 */
export function ignoredOptions(
  { app, options }: Pick<DeployJob, 'app' | 'options'>,
  steps: MachineStep[],
): string[] {
  const { count, region, ha } = options
  const existing = steps.filter(
    ({ role, previous }) => previous && (role === 'update' || role === 'blue'),
  )
  return [...Map.groupBy(existing, ({ group }) => group)].flatMap(([group, machines]) => {
    const ignored = [
      ...(count !== null && count !== machines.length ? [`count=${count}`] : []),
      ...(region !== null && machines.every((machine) => machine.region !== region)
        ? [`region=${region}`]
        : []),
      ...(ha && machines.length === 1 ? ['ha=true'] : []),
    ]
    if (ignored.length === 0) return []

    const regions = [...new Set(machines.map((machine) => machine.region))].join(', ')
    // Not flyctl's `scale count`: Fly may have no release of the app.
    const more = `fly machine clone ${machines[0]!.machine} --region ${region ?? machines[0]!.region} --app ${app}`
    return `Not done: ${ignored.join(' and ')}. Group ${group} has machines already (${machines.length} in ${regions}) and keeps them. A deploy creates machines only for a group without any. For one more: ${more}; for one less: fly machine destroy ID --app ${app}`
  })
}

const hasGroup = (machine: Machine): boolean =>
  configOf(machine).metadata?.['fly_process_group'] !== undefined
