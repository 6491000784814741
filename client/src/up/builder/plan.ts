import { Problem } from '#api/problem.ts'
import { configOf, crashesOf, type Machine, type MachineConfig } from '#fly/machine.ts'
import type { Volume } from '#fly/answers.ts'
import type { Choice } from './sizes.ts'
import {
  builderConfig,
  builderRole,
  changesIn,
  imageRole,
  roleKey,
  tokenKey,
  type Wanted,
} from './machine-config.ts'

export const volumeName = 'data'
const machineName = 'tarmac-builder'
/** A program that has ended this often does not run by waiting. */
export const mostCrashes = 3

/** What there is of a builder. */
export type Found = {
  app: string | null
  addresses: string[]
  /** The names of the app's secrets. */
  secrets: Set<string>
  volumes: Volume[]
  machines: Machine[]
}

/** One change on the way to a builder that is as wanted. */
export type Step =
  | { do: 'create-app' }
  | { do: 'assign-address' }
  | { do: 'set-secrets'; names: string[] }
  | { do: 'destroy-machine'; machine: Machine; why: string }
  | { do: 'build-image'; choice: Choice }
  | { do: 'create-volume'; choice: Choice; from: Volume | null }
  | { do: 'extend-volume'; volume: Volume; sizeGb: number }
  | { do: 'create-machine'; name: string; choice: Choice; config: MachineConfig }
  | { do: 'settle'; machine: Machine }
  | { do: 'update-machine'; machine: Machine; config: MachineConfig; changes: string[] }
  | { do: 'start-machine'; machine: Machine }
  | { do: 'verify'; machine: Machine }

/** What the plan needs beside `Found`. */
export type Goal = {
  wanted: Wanted
  /** What to try next, if a machine is to be made. */
  choice: Choice
  /** The region that the user named. */
  region: string | null
  volumeGb: number | null
  /** The settings of a machine that this run replaces. */
  base: MachineConfig
  /** Make a new machine and volume where Fly has lost the host of the old ones. */
  replace: boolean
  /** What this run has done already, so that it does nothing twice in vain. */
  done: { created: boolean; started: boolean; updated: boolean; secrets: boolean }
}

export const secretNames = ['TARMAC_TOKENS', 'TARMAC_SECRETS_KEY', 'TARMAC_FLY_TOKEN'] as const

/** A new machine is `created` until Fly has its image. Nothing can start it before. */
const settled = new Set(['started', 'stopped', 'suspended', 'failed'])
const isMarked = (machine: Machine, role: string) => configOf(machine).metadata?.[roleKey] === role
export const isBuilder = (machine: Machine) => isMarked(machine, builderRole)
const mountOf = (machine: Machine) => configOf(machine).mounts?.[0]?.volume
export const isLost = ({ host_status: host }: Machine) => host === 'unreachable'

/**
 * The next step, by what there is: the same after a crash as in a first run. Each step is followed
 * by a look at what it changed. Throws a Problem where only the user can decide.
 */
export function nextStep(goal: Goal, found: Found): Step {
  if (found.app === null) return { do: 'create-app' }
  if (!found.addresses.some((ip) => ip.startsWith('fdaa:'))) return { do: 'assign-address' }
  const missing = goal.done.secrets ? [] : missingSecrets(goal, found)
  if (missing.length > 0) return { do: 'set-secrets', names: missing }

  const { keep, extra } = chooseMachine(goal, found)
  if (extra) return { do: 'destroy-machine', ...extra }
  if (keep) return stepFor(goal, found, keep)
  return stepToMachine(goal, found)
}

/** A token that the machine does not know is set too: the old one may have expired. */
function missingSecrets({ wanted }: Goal, { secrets, machines }: Found): string[] {
  const missing = secretNames.filter((name) => !secrets.has(name))
  const marks = machines.flatMap((machine) => configOf(machine).metadata?.[tokenKey] ?? [])
  const isNew = marks.length > 0 && !marks.includes(wanted.tokenMark)
  if (isNew && !missing.includes('TARMAC_FLY_TOKEN')) return [...missing, 'TARMAC_FLY_TOKEN']
  return missing
}

type Chosen = { keep: Machine | null; extra: { machine: Machine; why: string } | null }

/**
 * A builder has one machine. Of several, the one that runs is kept, then the oldest. Machines
 * without our mark are never destroyed.
 */
function chooseMachine({ replace }: Goal, { app, machines }: Found): Chosen {
  const leftOver = machines.find((machine) => isMarked(machine, imageRole))
  if (leftOver)
    return { keep: null, extra: { machine: leftOver, why: 'a build that was interrupted left it' } }

  const usable = machines.filter((machine) => !(replace && isLost(machine)))
  const [keep, ...others] = usable.toSorted((a, b) => rank(a) - rank(b))
  // One on a lost host cannot be destroyed yet.
  const extra = others.find((machine) => isBuilder(machine) && !isLost(machine))
  if (keep && extra)
    return { keep, extra: { machine: extra, why: `a builder has one machine, ${keep.id}` } }
  const foreign = others.filter((machine) => !isBuilder(machine))
  if (foreign.length > 0)
    throw new Problem(
      'builder-failed',
      `The app ${app} has ${machines.length} machines, and tarmac up did not make ${foreign.map(({ id }) => id).join(', ')}. It destroys only its own. Destroy them (fly machine destroy ID --app ${app}), or make the builder in another app: --app NAME.`,
    )
  return { keep: keep ?? null, extra: null }
}

const rank = (machine: Machine): number =>
  (isBuilder(machine) ? 0 : 8) +
  (isLost(machine) ? 4 : 0) +
  (mountOf(machine) ? 0 : 2) +
  (machine.state === 'started' ? 0 : 1)

/** What the machine that is there needs. */
function stepFor(goal: Goal, { app, volumes }: Found, machine: Machine): Step {
  if (isLost(machine)) throw hostLost(machine)
  const volume = mountOf(machine)
  if (goal.region && goal.region !== machine.region) throw elsewhere(goal.region, machine, app)
  if (!volume)
    return { do: 'destroy-machine', machine, why: 'it has no volume, and Fly adds none later' }
  // A program that ends again and again never settles; it is explained.
  const isNew = goal.done.created || goal.done.updated
  if (isNew && crashesOf(machine).length >= mostCrashes) return { do: 'verify', machine }
  if (!settled.has(machine.state)) return { do: 'settle', machine }
  if (machine.state === 'failed' && goal.done.created) throw failedToStart(machine)
  if (machine.state === 'failed')
    return { do: 'destroy-machine', machine, why: 'it failed to start; its volume is kept' }

  const own = volumes.find(({ id }) => id === volume)
  if (own && goal.volumeGb && (own.size_gb ?? 0) < goal.volumeGb)
    return { do: 'extend-volume', volume: own, sizeGb: goal.volumeGb }

  const config = builderConfig(goal.wanted, configOf(machine), volume)
  const newSecrets = goal.done.secrets ? ['secrets'] : []
  const changes = [...changesIn(configOf(machine), config), ...newSecrets]
  if (changes.length > 0 && !goal.done.updated)
    return { do: 'update-machine', machine, config, changes }
  // A machine that stops at once is started once, and then explained.
  const runs = machine.state === 'started' || goal.done.started
  return { do: runs ? 'verify' : 'start-machine', machine }
}

/** There is no machine. A volume that there is may hold a builder's data, so it is used. */
function stepToMachine(goal: Goal, found: Found): Step {
  const { wanted, choice, region, replace } = goal
  const free = found.volumes.filter(isFree).toSorted(byAge)
  const volume = free.find((each) => each.region === choice.region) ?? (region ? null : free[0])
  const lost = found.machines.find((machine) => replace && isLost(machine))
  const from = found.volumes.find(({ id }) => id === (lost && mountOf(lost))) ?? null
  if (!volume && free[0] && !lost) throw otherRegion(free[0], choice.region, found.app)

  const base = lost ? configOf(lost) : goal.base
  // Before the volume, which costs money: a build may fail.
  if (!wanted.image && !base.image) return { do: 'build-image', choice }
  if (!volume) return { do: 'create-volume', choice, from }

  const place = { ...choice, region: volume.region }
  const config = builderConfig(
    { ...wanted, guest: wanted.guest ?? place.size.guest },
    { ...base, mounts: [] },
    volume.id,
  )
  return { do: 'create-machine', name: freeName(found.machines), choice: place, config }
}

/** Names are unique in an app. A machine on a lost host keeps its own. */
function freeName(machines: Machine[]): string {
  const taken = new Set(machines.map(({ name }) => name))
  for (let number = 1; ; number++) {
    const name = number === 1 ? machineName : `${machineName}-${number}`
    if (!taken.has(name)) return name
  }
}

const isFree = ({ name, state, attached_machine_id: machine }: Volume): boolean =>
  name === volumeName && !machine && !/destroy/.test(state ?? '')
type Made = { id: string; created_at?: string | null | undefined }
/** The same order for each run that looks. */
export const byAge = (a: Made, b: Made): number =>
  (a.created_at ?? '').localeCompare(b.created_at ?? '') || a.id.localeCompare(b.id)

function failedToStart({ id, config, events = [] }: Machine): Problem {
  const error = events.find(({ request }) => request?.error)?.request?.error
  return new Problem(
    'builder-failed',
    `Machine ${id} failed to start with the image ${config?.image ?? ''}: ${error ?? 'Fly does not say why'}. Check that the image exists and that the organisation can pull it, then run tarmac up again.`,
  )
}

export const hostLost = ({ id }: Machine): Problem =>
  new Problem(
    'builder-failed',
    `Fly does not reach the host of machine ${id}. Its volume is on that host, and nothing is lost yet: Fly brings most hosts back. Wait and run tarmac up again. Or run tarmac up --replace: it makes a new machine on a volume from the last snapshot (Fly takes one a day) and keeps the old volume.`,
  )

const elsewhere = (region: string, machine: Machine, app: string | null): Problem =>
  new Problem(
    'option-invalid',
    `The builder ${app} is in ${machine.region}, with its volume, and a volume cannot move to ${region}. Leave out --region. Or make a second builder there: tarmac up --app NAME --region ${region}.`,
  )

const otherRegion = ({ id, region }: Volume, wanted: string, app: string | null): Problem =>
  new Problem(
    'option-invalid',
    `The app ${app} has a volume in ${region} (${id}), which holds the records of its builder, and a volume cannot move to ${wanted}. Run tarmac up --region ${region}. If you do not need it any more: tarmac down --app ${app} --delete-volume, then tarmac up --region ${wanted}.`,
  )
