import type { MachineFacts } from '#api/deployment.ts'
import type { ProblemBody } from '#api/problem.ts'
import { configOf, crashesOf, imageOf, type Machine, type MachineConfig } from '../fly/machine.ts'
import { groupOf, isTemporary, isManaged, ownerOf, assertNotOlder } from './managed.ts'
import type { DesiredApp, DesiredGroup } from './config/desired.ts'
import { assertStrategyApplies } from './strategy-checks.ts'
import type { DeployJob } from './execution.ts'

/** All that must outlive a crash of the gateway while machines change. Plain data; written down before every effect. */
export type DeployProgress = {
  desired: DesiredApp
  /** In the order in which they are brought over. */
  slots: MachineStep[]
  /** Why the machines are being put back; null on the way forward. */
  because: ProblemBody | null
  /** The watch is over: what is left is to tidy up. */
  live: boolean
  /** By group: the config that its first machine got. Older records lack it. */
  laid?: Record<string, MachineConfig>
}

/**
 * What a machine is there for. `update`: it gets the release; `new`, `green`: made for it, the greens cordoned until all
 * are healthy; `canary`, `release`: made for a while; `blue`: gives way to the greens; `gone`: nobody wants it any more.
 */
export type Role = 'update' | 'new' | 'green' | 'canary' | 'release' | 'blue' | 'gone'
export type Effect = 'create' | 'update' | 'start' | 'uncordon' | 'cordon' | 'stop' | 'destroy'

/** One machine of the rollout. */
export type MachineStep = {
  role: Role
  /** Of a machine that is made new: unique, and the same after a crash, so that it is never made twice. */
  name: string
  group: string
  region: string
  machine: string | null
  /** What it ran before; null for a machine that this rollout makes. */
  former: PreviousVersion | null
  /** What a machine that is made has in common with one that is there. */
  base: MachineConfig | null
  /** The name of the slot for whose machine it stands by. */
  standbyFor: string | null
  /** By the name of the mount: volumes chosen for a machine that is made. */
  volumes: Record<string, string>
  /** False: it did not run before and is brought over without starting it. */
  launch: boolean
  /** It did not run, is started to be tried, and is stopped again. */
  rest: boolean
  /** The last effect that was about to happen. */
  intent: Effect | null
  /** Null until the first effect on it is about to happen. */
  outcome: MachineFacts['outcome'] | null
  /** The version that this rollout made of it. */
  tried: Version | null
  /** What it is known to run now. */
  now: Version | null
  /** Nonce of the lease that was held last, so that nobody waits for it to run out after a crash. */
  lease: string | null
}
type Version = { instanceId: string; image: string }
export type PreviousVersion = Version & {
  digest: string | null
  config: MachineConfig
  running: boolean
  /** It was meant not to run; one that failed is neither. */
  asleep: boolean
  cordoned: boolean
  /** It passed its checks, so it has to pass them again when it is put back. */
  healthy: boolean
  crashes: number
}

const resting = new Set(['stopped', 'stopping', 'suspended', 'suspending', 'created'])

/** Decides what happens to which machine. Refuses to go over a newer deployment, and what the strategy cannot do. */
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
    const existing = of(group).map((machine) => existingSlot('update', group.name, machine))
    const slots = desired.strategy === 'bluegreen' ? greensOf(existing, named) : existing
    const tried = slots.find(
      ({ standbyFor, former }) => !standbyFor && !former?.config.standbys?.length,
    )
    if (tried && slots.every(({ launch }) => !launch)) {
      // Nothing of the group runs; a release that was never started proves nothing.
      tried.launch = true
      tried.rest = !group.config.services?.some(({ autostop }) => autostop)
    }
    if (slots.length > 0) return slots
    if (group.count !== null)
      return Array.from({ length: group.count }, (_, at) =>
        newSlot('new', group.name, desired.region, named(group.name, at + 1)),
      )
    const first = newSlot('new', group.name, desired.region, named(group.name, 1))
    const second = newSlot('new', group.name, desired.region, named(group.name, 2))
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
    return [{ ...newSlot('canary', group.name, model.region, named(group.name, 'canary')), base }]
  })
  const released = newSlot('release', 'release', desired.region, named('release', 'command'))
  const release = { ...released, launch: false, base: { guest: largestGuest(desired, of) } }
  const replaced = desired.strategy === 'bluegreen' ? kept : []
  const gone = ours.filter((machine) => !kept.includes(machine))
  const slots = [
    ...(desired.release ? [release] : []),
    ...canaries,
    // Running ones first: a release that does not work is found before the sleeping ones are touched.
    ...stepsToApply.filter(({ launch }) => launch),
    ...stepsToApply.filter(({ launch }) => !launch),
    ...replaced.map((machine) => existingSlot('blue', groupOf(machine), machine)),
    ...gone.map((machine) => existingSlot('gone', groupOf(machine), machine)),
  ]
  return { desired, slots, because: null, live: false }
}

/** The slots of machines that the release is to serve on. */
export const appliedSteps = ({ slots }: DeployProgress): MachineStep[] =>
  slots.filter(({ role }) => role === 'update' || role === 'new' || role === 'green')

function existingSlot(role: Role, group: string, machine: Machine): MachineStep {
  return {
    ...newSlot(role, group, machine.region, machine.name),
    machine: machine.id,
    former: previousVersionOf(machine),
    launch: !resting.has(machine.state),
  }
}

function newSlot(role: Role, group: string, region: string, name: string): MachineStep {
  const untouched = { intent: null, outcome: null, tried: null, now: null, lease: null }
  const fresh = {
    machine: null,
    former: null,
    base: null,
    standbyFor: null,
    volumes: {},
    launch: true,
    rest: false,
  }
  return { role, name, group, region, ...fresh, ...untouched }
}

/** What the release command gets where fly.toml does not say. */
function largestGuest({ groups }: DesiredApp, of: (group: DesiredGroup) => Machine[]) {
  const group = groups.find(({ name }) => name === 'app') ?? groups[0]
  const configs = group ? [...of(group).map(configOf), group.config] : []
  const [largest] = configs.toSorted(
    (a, b) => Number(b.guest?.['memory_mb'] ?? 0) - Number(a.guest?.['memory_mb'] ?? 0),
  )
  return largest?.guest ?? { cpu_kind: 'shared', cpus: 2, memory_mb: 512 }
}

/** A machine beside each that is there, alike but for the release. */
function greensOf(
  blues: MachineStep[],
  named: (group: string, what: number) => string,
): MachineStep[] {
  const names = new Map(blues.map(({ machine, group }, at) => [machine, named(group, at + 1)]))
  return blues.map(({ group, region, former, machine, launch }) => {
    const { standbys = [], ...base } = former?.config ?? {}
    const standbyFor = names.get(standbys[0] ?? '') ?? null
    return {
      ...newSlot('green', group, region, names.get(machine) ?? ''),
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

/** What the record says of the machines that were touched; of the one for the release command only where it is left. */
export function machineFacts({ slots }: DeployProgress): MachineFacts[] {
  return slots.flatMap(({ role, machine, name, region, former, tried, now, outcome }) => {
    if (machine === null || outcome === null || (role === 'release' && outcome !== 'stuck'))
      return []
    const before = former && { instanceId: former.instanceId, image: former.image }
    return [{ id: machine, name, region, before, tried, after: now, outcome }]
  })
}

const machineName = (slot: string, id: string): string =>
  `${slot}-${id}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(-63)
    .replace(/^-+/, '')
