import type { MachineFacts } from '#api/deployment.ts'
import { Problem, type ProblemBody } from '#api/problem.ts'
import { configOf, imageOf, type Machine, type MachineConfig } from '../fly/machine.ts'
import type { DesiredApp } from './desired.ts'
import type { Work } from './run.ts'

/** All that must outlive a crash of the gateway while machines change. Plain data; written down before every effect. */
export type Rollout = {
  desired: DesiredApp
  /** In the order in which they are brought over. */
  slots: Slot[]
  /** Machines of process groups that are no longer wanted: removed once everything else is live. */
  gone: string[]
  /** Why the machines are being put back; null on the way forward. */
  because: ProblemBody | null
}

/** One machine of the rollout. */
export type Slot = {
  /** Of a machine that is made new: unique, and the same after a crash, so that it is never made twice. */
  name: string
  group: string
  region: string
  machine: string | null
  /** What it ran before; null for a machine that this rollout makes. */
  former: Former | null
  /** Volumes that a new machine takes, by the mount's name. */
  volumes?: Record<string, string>
  /** False: it did not run before and is brought over without starting it. */
  launch: boolean
  /** It did not run, is started to be tried, and is stopped again. */
  rest: boolean
  /** Null until the first effect on it is about to happen. */
  outcome: MachineFacts['outcome'] | null
  /** The version that this rollout made of it; after a rollback the version it was put back to. */
  now: { instanceId: string; image: string } | null
}
export type Former = {
  instanceId: string
  image: string
  digest: string | null
  config: MachineConfig
  running: boolean
  /** It passed its checks, so it has to pass them again when it is put back. */
  healthy: boolean
}

const resting = new Set(['stopped', 'stopping', 'suspended', 'suspending', 'created'])

/** Decides what happens to which machine. Refuses to go over a newer deployment. */
export function planRollout(
  { id, number, desired, options }: Pick<Work, 'id' | 'number' | 'desired' | 'options'>,
  machines: Machine[],
): Rollout {
  const owner = options.owner ?? null
  const target = machines.filter((machine) => isManaged(machine) && ownerOf(machine) === owner)
  const ours = target.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  for (const machine of ours) refuseOlder(number, machine)
  const slots = desired.groups.flatMap((group): Slot[] => {
    const there = ours.filter((machine) => groupOf(machine) === group.name)
    const existing = there.map((machine): Slot => ({
      name: machine.name,
      group: group.name,
      region: machine.region,
      machine: machine.id,
      former: formerOf(machine),
      launch: !resting.has(machine.state),
      rest: false,
      outcome: null,
      now: null,
    }))
    const tried = existing.find((_, at) => !configOf(there[at] as Machine).standbys?.length)
    if (tried && existing.every(({ launch }) => !launch)) {
      // Nothing of the group runs; a release that was never started proves nothing.
      tried.launch = true
      tried.rest = !group.config.services?.some(({ autostop }) => autostop)
    }
    if (existing.length > 0) return existing
    const fresh = { group: group.name, region: desired.region, machine: null, former: null, launch: true, rest: false }
    return Array.from({ length: group.count }, () => Object.assign({ name: '', outcome: null, now: null }, fresh))
  })
  slots.forEach((slot, at) => (slot.name ||= machineName(owner, slot.group, at + 1, id)))
  // Running ones first: a release that does not work is found before the sleeping ones are touched.
  const ordered = [...slots.filter(({ launch }) => launch), ...slots.filter(({ launch }) => !launch)]
  const gone = ours.filter((machine) => !desired.groups.some(({ name }) => name === groupOf(machine)))
  return { desired, slots: ordered, gone: gone.map((machine) => machine.id), because: null }
}

/** The machines that the platform's own tools count as the app's: release commands and consoles are not. */
export function isManaged(machine: Machine): boolean {
  const { fly_platform_version: version } = configOf(machine).metadata ?? {}
  return version === 'v2' && !groupOf(machine).startsWith('fly_app_')
}
export const ownerOf = (machine: Machine): string | null => configOf(machine).metadata?.['tarmac_owner'] ?? null
export const groupOf = (machine: Machine): string => configOf(machine).metadata?.['fly_process_group'] ?? 'app'

/** The fence: whoever wakes up late must not land over a newer deployment. */
export function refuseOlder(number: number, machine: Machine): void {
  const there = Number(configOf(machine).metadata?.['tarmac_number'] ?? 0)
  if (there > number)
    throw new Problem(
      'superseded',
      `Machine ${machine.id} has seen deployment number ${there}, which is newer than this one (${number}).`,
    )
}

export function formerOf(machine: Machine): Former {
  const running = machine.state === 'started'
  return {
    instanceId: machine.instance_id,
    image: imageOf(machine),
    digest: machine.image_ref?.digest ?? null,
    config: configOf(machine),
    running,
    healthy: running && (machine.checks ?? []).every(({ status }) => status === 'passing'),
  }
}

/** What the record says of the machines that were touched. */
export function machineFacts({ slots }: Rollout): MachineFacts[] {
  return slots.flatMap(({ machine, name, region, former, now, outcome }) => {
    if (machine === null || outcome === null) return []
    const before = former && { instanceId: former.instanceId, image: former.image }
    return [{ id: machine, name, region, before, after: now, outcome }]
  })
}

const machineName = (owner: string | null, group: string, slot: number, id: string): string =>
  `${owner === null ? '' : `${owner}-`}${group}-${slot}-${id}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .slice(-63)
    .replace(/^-+/, '')
