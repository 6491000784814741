import type { MachineFacts } from '#api/machines/deployed-machine.ts'
import {
  configOf,
  crashesOf,
  hasFinished,
  imageOf,
  isScheduled,
  stoppedUnasked,
  type Machine,
  type MachineConfig,
} from '#fly/machine.ts'
import type { DesiredApp, DesiredGroup } from './config/desired-app.ts'
import { isStandby, lacksVolume } from './config/merge-config.ts'
import type { DeployJob } from './job.ts'
import { groupOf, isTemporary, isManaged, ownerOf, assertNotOlder } from './managed.ts'
import { checkSteps } from './one-off/check-steps.ts'
import {
  type DeployProgress,
  isOneOff,
  type MachineStep,
  newStep,
  type PreviousVersion,
  type Version,
  type Role,
} from './progress.ts'
import { seenOf } from './machines/seen.ts'
import { assertStrategyApplies } from './strategy-checks.ts'

const resting = new Set(['stopped', 'stopping', 'suspended', 'suspending', 'created'])

type Job = Pick<DeployJob, 'id' | 'number' | 'desired' | 'options'>
/** What the steps are made from. */
type Target = {
  desired: DesiredApp
  /** The machines of a group, without leftovers of an earlier deploy. */
  machinesOf: (group: DesiredGroup) => Machine[]
  /** The name of a new machine: the same after a crash. */
  nameOf: (group: string, what: string | number) => string
}

/**
 * Decides what happens to each machine. Throws if a newer deployment has changed one, or if the
 * strategy does not apply.
 */
export function planRollout(job: Job, machines: Machine[]): DeployProgress {
  const { desired } = job
  const owner = job.options.owner ?? null
  const ours = machines
    .filter((machine) => isManaged(machine) && ownerOf(machine) === owner)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  for (const machine of ours) assertNotOlder(job.number, machine)

  const target: Target = {
    desired,
    machinesOf: ({ name }) =>
      ours.filter((machine) => groupOf(machine) === name && !isTemporary(machine)),
    nameOf: (group, what) =>
      machineName(`${owner === null ? '' : `${owner}-`}${group}-${what}`, job.id),
  }
  const kept = desired.groups.flatMap(target.machinesOf)
  assertStrategyApplies(desired, kept, machines)

  const { strategy, releaseCommand } = desired
  const toApply = desired.groups.flatMap((group) => stepsOf(target, group))
  const replaced = new Set(toApply.flatMap(({ replaces = [] }) => replaces))
  const blue = kept.filter(({ id }) => replaced.has(id))
  const gone = ours.filter((machine) => !kept.includes(machine))
  const steps = [
    ...(releaseCommand ? [releaseCommandStep(target)] : []),
    ...desired.groups.flatMap((group) => {
      const model = modelOf(target, group)
      return checkSteps(group, { region: desired.region, model, nameOf: target.nameOf })
    }),
    ...(strategy === 'canary' ? desired.groups.flatMap((group) => canaryOf(target, group)) : []),
    // Running machines come first: a broken release is found before stopped ones are touched.
    ...toApply.filter(({ launch }) => launch),
    ...toApply.filter(({ launch }) => !launch),
    ...blue.map((machine) => existingStep('blue', groupOf(machine), machine)),
    ...gone.map((machine) => existingStep('gone', groupOf(machine), machine)),
  ]
  return { desired, steps, rollbackReason: null, live: false }
}

/** The steps whose machines will serve the release. */
export const appliedSteps = ({ steps }: DeployProgress): MachineStep[] =>
  steps.filter(({ role }) => role === 'update' || role === 'new' || role === 'green')

/** The machines of one group that will serve the release: the existing ones, else new ones. */
function stepsOf(target: Target, group: DesiredGroup): MachineStep[] {
  const machines = target.machinesOf(group)
  const existing = machines.map((machine) => existingStep('update', group.name, machine))
  if (existing.length === 0) return newSteps(target, group)

  const steps = withGreens(existing, group, target)
  const { config } = group
  const first = steps.find(
    ({ standbyFor, previous }) => !standbyFor && !isStandby(previous?.config ?? {}, config),
  )
  if (first && steps.every(({ launch }) => !launch)) {
    // No machine of the group runs. Start one: a release that never ran proves nothing. Do not stop
    // a job in the middle of its work.
    first.launch = true
    // Fly's proxy, which stops idle machines, does not know a cordoned one: somebody has stopped it.
    const stopsByItself = stopsWhenIdle(config) && first.previous?.cordoned !== true
    first.stopAfterwards = !stopsByItself && !machines.some(isAtRestByItself)
  }
  return steps
}

const isAtRestByItself = (machine: Machine): boolean =>
  hasFinished(machine) || isScheduled(configOf(machine))

/** Whether Fly's proxy stops the machines of a group when nobody uses them. */
export const stopsWhenIdle = ({ services = [] }: MachineConfig): boolean =>
  services.some(
    ({ autostop }) => autostop !== undefined && autostop !== false && autostop !== 'off',
  )

/** The machines of a group that has none yet. */
function newSteps({ desired, nameOf }: Target, group: DesiredGroup): MachineStep[] {
  const create = (number: number) =>
    newStep('new', group.name, desired.region, nameOf(group.name, number))
  if (group.count !== null)
    return Array.from({ length: group.count }, (_, index) => create(index + 1))

  const [first, second] = [create(1), create(2)]
  if (group.whenNone === 'one') return [first]
  if (group.whenNone === 'two') return [first, second]
  return [first, { ...second, launch: false, standbyFor: first.name }]
}

/** A machine of the group, a running one if there is any. */
const modelOf = ({ machinesOf }: Target, group: DesiredGroup): Machine | undefined =>
  machinesOf(group).toSorted(
    (a, b) => Number(resting.has(a.state)) - Number(resting.has(b.state)),
  )[0]

/** An extra machine beside those of a group, with the config of a running one if there is any. */
function canaryOf(target: Target, group: DesiredGroup): MachineStep[] {
  const { nameOf } = target
  const model = modelOf(target, group)
  if (!model) return []
  const { standbys: _own, ...base } = configOf(model)
  return [{ ...newStep('canary', group.name, model.region, nameOf(group.name, 'canary')), base }]
}

function releaseCommandStep({ desired, machinesOf, nameOf }: Target): MachineStep {
  const name = nameOf('release', 'command')
  const step = newStep('releaseCommand', 'release', desired.region, name)
  return { ...step, launch: false, base: { guest: largestGuest(desired, machinesOf) } }
}

function existingStep(role: Role, group: string, machine: Machine): MachineStep {
  return {
    ...newStep(role, group, machine.region, machine.name),
    machine: machine.id,
    previous: previousVersionOf(machine),
    // Nobody wanted a machine to be down that went down by itself.
    launch: !resting.has(machine.state) || (role === 'update' && stoppedUnasked(machine)),
  }
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

/**
 * Puts a new machine in the place of each one that is not updated: of all with bluegreen, and of
 * those that lack a mount. It has the same config except for the release.
 */
function withGreens(
  existing: MachineStep[],
  { config }: DesiredGroup,
  { desired, nameOf }: Target,
): MachineStep[] {
  const isReplaced = ({ previous }: MachineStep) =>
    desired.strategy === 'bluegreen' || lacksVolume(previous?.config ?? {}, config)
  const names = new Map(
    existing
      .filter(isReplaced)
      .map(({ machine, group }, at) => [machine ?? '', nameOf(group, at + 1)]),
  )
  return existing.map((step) => {
    const { machine, group, region, previous, launch } = step
    const name = names.get(machine ?? '')
    if (name === undefined || machine === null) return step

    const { standbys = [], ...base } = previous?.config ?? {}
    const [active = ''] = isStandby({ standbys }, config) ? standbys : []
    const standbyFor = names.get(active) ?? null
    const stays = standbyFor === null && existing.some((each) => each.machine === active)
    return {
      ...newStep('green', group, region, name),
      base: stays ? { ...base, standbys } : base,
      launch,
      standbyFor,
      replaces: machine,
    }
  })
}

export function previousVersionOf(machine: Machine): PreviousVersion {
  const running = machine.state === 'started'
  return {
    instanceId: machine.instance_id,
    image: imageOf(machine),
    seen: seenOf(machine),
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
 * The record's facts about the machines that were touched. Machines of the release command and
 * of machine checks count only if they are stuck.
 */
export function machineFacts({ steps }: DeployProgress): MachineFacts[] {
  return steps.flatMap((step) => {
    const { role, machine, name, region, previous, attempted, now, outcome, events, warning } = step
    if (machine === null || outcome === null || (isOneOff(role) && outcome !== 'stuck')) return []
    const before = previous && beforeOf(previous)
    const facts = { id: machine, name, region, before, tried: attempted, after: now, outcome }
    return [{ ...facts, ...(events && { events }), ...(warning && { warning }) }]
  })
}

const beforeOf = ({ instanceId, image, seen }: PreviousVersion): Version => ({
  instanceId,
  image,
  ...(seen && { seen }),
})

const machineName = (part: string, id: string): string =>
  `${part}-${id}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(-63)
    .replace(/^-+/, '')
