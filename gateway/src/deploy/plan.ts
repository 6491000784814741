import type { MachineFacts } from '#api/deployment.ts'
import { configOf, crashesOf, imageOf, type Machine } from '../fly/machine.ts'
import type { DesiredApp, DesiredGroup } from './config/desired-app.ts'
import type { DeployJob } from './job.ts'
import { groupOf, isTemporary, isManaged, ownerOf, assertNotOlder } from './managed.ts'
import type { DeployProgress, Role, MachineStep, PreviousVersion } from './progress.ts'
import { assertStrategyApplies } from './strategy-checks.ts'

const resting = new Set(['stopped', 'stopping', 'suspended', 'suspending', 'created'])

/**
 * Decides what happens to each machine. Throws if a newer deployment has changed one, or if the
 * strategy does not apply.
 */
export function planRollout(
  { id, number, desired, options }: Pick<DeployJob, 'id' | 'number' | 'desired' | 'options'>,
  machines: Machine[],
): DeployProgress {
  const owner = options.owner ?? null
  const target = machines.filter((machine) => isManaged(machine) && ownerOf(machine) === owner)
  const ours = target.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  for (const machine of ours) assertNotOlder(number, machine)
  const of = ({ name }: DesiredGroup) =>
    ours.filter((machine) => groupOf(machine) === name && !isTemporary(machine))

  const kept = desired.groups.flatMap(of)
  assertStrategyApplies(desired, kept, machines)

  const named = (group: string, what: string | number) =>
    machineName(`${owner === null ? '' : `${owner}-`}${group}-${what}`, id)
  const stepsToApply = desired.groups.flatMap((group) => {
    const existing = of(group).map((machine) => existingStep('update', group.name, machine))
    const steps = desired.strategy === 'bluegreen' ? greensOf(existing, named) : existing

    const tried = steps.find(
      ({ standbyFor, previous }) => !standbyFor && !previous?.config.standbys?.length,
    )
    if (tried && steps.every(({ launch }) => !launch)) {
      // No machine of the group runs. Start one: a release that never ran proves nothing.
      tried.launch = true
      tried.stopAfterwards = !group.config.services?.some(({ autostop }) => autostop)
    }

    if (steps.length > 0) return steps
    if (group.count !== null)
      return Array.from({ length: group.count }, (_, at) =>
        newStep('new', group.name, desired.region, named(group.name, at + 1)),
      )

    const first = newStep('new', group.name, desired.region, named(group.name, 1))
    const second = newStep('new', group.name, desired.region, named(group.name, 2))
    if (group.whenNone === 'one') return [first]
    return [
      first,
      group.whenNone === 'two' ? second : { ...second, launch: false, standbyFor: first.name },
    ]
  })

  const canaries = desired.groups.flatMap((group) => {
    const [model] = of(group).toSorted(
      (a, b) => Number(resting.has(a.state)) - Number(resting.has(b.state)),
    )
    if (desired.strategy !== 'canary' || !model) return []
    const { standbys: _own, ...base } = configOf(model)
    return [{ ...newStep('canary', group.name, model.region, named(group.name, 'canary')), base }]
  })

  const released = newStep('releaseCommand', 'release', desired.region, named('release', 'command'))
  const release = { ...released, launch: false, base: { guest: largestGuest(desired, of) } }

  const replaced = desired.strategy === 'bluegreen' ? kept : []
  const gone = ours.filter((machine) => !kept.includes(machine))

  const steps = [
    ...(desired.releaseCommand ? [release] : []),
    ...canaries,
    // Running machines come first: a broken release is found before stopped ones are touched.
    ...stepsToApply.filter(({ launch }) => launch),
    ...stepsToApply.filter(({ launch }) => !launch),
    ...replaced.map((machine) => existingStep('blue', groupOf(machine), machine)),
    ...gone.map((machine) => existingStep('gone', groupOf(machine), machine)),
  ]
  return { desired, steps, rollbackReason: null, live: false }
}

/** The steps whose machines will serve the release. */
export const appliedSteps = ({ steps }: DeployProgress): MachineStep[] =>
  steps.filter(({ role }) => role === 'update' || role === 'new' || role === 'green')

function existingStep(role: Role, group: string, machine: Machine): MachineStep {
  return {
    ...newStep(role, group, machine.region, machine.name),
    machine: machine.id,
    previous: previousVersionOf(machine),
    launch: !resting.has(machine.state),
  }
}

function newStep(role: Role, group: string, region: string, name: string): MachineStep {
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

/** The guest of the release command if fly.toml does not set it. */
function largestGuest({ groups }: DesiredApp, of: (group: DesiredGroup) => Machine[]) {
  const group = groups.find(({ name }) => name === 'app') ?? groups[0]
  const configs = group ? [...of(group).map(configOf), group.config] : []
  const [largest] = configs.toSorted(
    (a, b) => Number(b.guest?.['memory_mb'] ?? 0) - Number(a.guest?.['memory_mb'] ?? 0),
  )
  return largest?.guest ?? { cpu_kind: 'shared', cpus: 2, memory_mb: 512 }
}

/** One new machine for each existing one, with the same config except for the release. */
function greensOf(
  blues: MachineStep[],
  named: (group: string, what: number) => string,
): MachineStep[] {
  const names = new Map(blues.map(({ machine, group }, at) => [machine, named(group, at + 1)]))
  return blues.map(({ group, region, previous, machine, launch }) => {
    const { standbys = [], ...base } = previous?.config ?? {}
    const standbyFor = names.get(standbys[0] ?? '') ?? null
    return {
      ...newStep('green', group, region, names.get(machine) ?? ''),
      base,
      launch,
      standbyFor,
    }
  })
}

export function previousVersionOf(machine: Machine): PreviousVersion {
  const running = machine.state === 'started'
  return {
    instanceId: machine.instance_id,
    image: imageOf(machine),
    digest: machine.image_ref?.digest ?? null,
    config: configOf(machine),
    running,
    asleep: resting.has(machine.state),
    cordoned: machine.cordoned ?? false,
    healthy: running && (machine.checks ?? []).every(({ status }) => status === 'passing'),
    crashes: crashesOf(machine).length,
  }
}

/**
 * The record's facts about the machines that were touched. The release command's machine counts
 * only if it is stuck.
 */
export function machineFacts({ steps }: DeployProgress): MachineFacts[] {
  return steps.flatMap(({ role, machine, name, region, previous, attempted, now, outcome }) => {
    if (machine === null || outcome === null || (role === 'releaseCommand' && outcome !== 'stuck'))
      return []
    const before = previous && { instanceId: previous.instanceId, image: previous.image }
    return [{ id: machine, name, region, before, tried: attempted, after: now, outcome }]
  })
}

const machineName = (part: string, id: string): string =>
  `${part}-${id}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(-63)
    .replace(/^-+/, '')
