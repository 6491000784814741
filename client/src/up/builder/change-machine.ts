import { Problem } from '#api/problem.ts'
import type { App } from '#fly/answers.ts'
import {
  configOf,
  crashesOf,
  type Machine,
  type MachineConfig,
  type MachineRef,
} from '#fly/machine.ts'
import { isNoCapacity, noCapacity } from './capacity.ts'
import { nextChoice } from './change-app.ts'
import type { FlyParts } from '../fly-parts.ts'
import { changeOf, leaseOf } from '../leased.ts'
import { once } from './once.ts'
import { isBuilder, mostCrashes, type Step } from './plan.ts'
import type { Run } from './run.ts'
import { guestWords } from './sizes.ts'

type Given<Name extends Step['do']> = Extract<Step, { do: Name }>

/** Fly may pull a large image. */
const settleMs = 300_000
const lookMs = 15_000

export async function createMachine(
  run: Run,
  app: App,
  { name, choice, config }: Given<'create-machine'>,
): Promise<void> {
  const { fly, found, goal } = run
  const { region, size } = choice
  try {
    const body = { name, region, config }
    const machine = await fly.machines.createMachine(app.name, body, fly.signal)
    found.machines.push(machine)
    Object.assign(goal.done, { created: true, updated: true, started: true })
    run.freshVolume = null
    const hardware = guestWords({ ...size.guest, ...config.guest })
    fly.report(`machine ${machine.id}: made (${hardware}) in ${region}; Fly pulls ${config.image}`)
  } catch (error) {
    await nextChoice(run, error, app.name)
  }
}

export async function buildImage(
  { fly, goal, makers }: Run,
  app: App,
  { choice }: Given<'build-image'>,
): Promise<void> {
  goal.wanted.image = await makers.buildImage(app, choice.region)
  fly.report(`image ${goal.wanted.image}: ready`)
}

export async function destroyMachine(
  { fly, found, goal }: Run,
  { name }: App,
  { machine, why }: Given<'destroy-machine'>,
): Promise<void> {
  // Its image and settings are those of the machine that replaces it.
  if (isBuilder(machine)) goal.base = configOf(machine)
  await changeOf(fly, { app: name, id: machine.id }, (changes) => changes.destroy(fly.signal))
  found.machines = found.machines.filter(({ id }) => id !== machine.id)
  found.volumes = await fly.machines.volumes(name, fly.signal)
  fly.report(`machine ${machine.id}: destroyed: ${why}`)
}

/** Waits until the machine is in a state that lasts, or its program has ended too often. */
export async function settle(run: Run, { name }: App, machine: Machine): Promise<void> {
  const { fly } = run
  const ref = { app: name, id: machine.id }
  const wanted = { state: ['started', 'stopped', 'failed'], withinMs: lookMs } as const
  for (const deadline = performance.now() + settleMs; ;) {
    const isSettled = await fly.machines.wait(ref, wanted, fly.signal)
    const now = await lookAgain(run, ref)
    if (isSettled || !now || crashesOf(now).length >= mostCrashes) return
    if (performance.now() < deadline) continue
    throw new Problem(
      'builder-failed',
      `Machine ${machine.id} has been ${now.state} for ${settleMs / 60_000} minutes. Fly may still pull its image. Run tarmac up again to go on waiting; fly machine status ${machine.id} --app ${name} shows its events.`,
    )
  }
}

export async function updateMachine(
  run: Run,
  { name }: App,
  { machine, config, changes }: Given<'update-machine'>,
): Promise<void> {
  const { fly, goal } = run
  const ref = { app: name, id: machine.id }
  fly.report(`machine ${machine.id}: updating ${changes.join(', ')}`)
  goal.done.updated = await applyConfig(fly, name, { machine, config, description: 'tarmac up' })
  await lookAgain(run, ref)
}

/**
 * Updates a machine under a lease, once, and waits until the update has settled. False: somebody else
 * has changed the machine since it was read, and nothing was done.
 */
export async function applyConfig(
  fly: FlyParts,
  app: string,
  {
    machine,
    config,
    description,
  }: { machine: Machine; config: MachineConfig; description: string },
): Promise<boolean> {
  const { signal } = fly
  const ref = { app, id: machine.id }
  await using lease = await leaseOf(fly, ref, description)

  const { instance_id: before } = machine
  if ((await fly.machines.machine(ref, signal))?.instance_id !== before) {
    fly.report(`machine ${machine.id}: another command has changed it meanwhile; looking again`)
    return false
  }
  const version = await once(
    async () => (await lease.update({ config, current_version: before }, signal)).instance_id,
    async () => {
      const now = (await fly.machines.machine(ref, signal))?.instance_id
      return now === undefined || now === before ? null : now
    },
    signal,
  ).catch((error: unknown) => {
    throw isNoCapacity(error) ? noCapacity(machine.region, error) : error
  })

  const state = ['started', 'stopped', 'failed'] as const
  await fly.machines.wait(ref, { state, version, withinMs: settleMs }, signal)
  if ((await fly.machines.machine(ref, signal))?.instance_id === version) return true
  // Fly gives an update up without an error (fly.md 3.1).
  throw new Problem(
    'builder-failed',
    `Fly gave up the update of machine ${machine.id} and went back to the old version. The most frequent cause is an image that it cannot pull: ${config.image ?? ''}. The builder runs as before.`,
  )
}

export async function startMachine(run: Run, { name }: App, machine: Machine): Promise<void> {
  const { fly, goal } = run
  const ref = { app: name, id: machine.id }
  fly.report(`machine ${machine.id}: ${machine.state}; starting`)
  try {
    await changeOf(fly, ref, (changes) => changes.start(fly.signal))
  } catch (error) {
    throw isNoCapacity(error) ? noCapacity(machine.region, error) : error
  }
  goal.done.started = true
  const state = ['started', 'stopped', 'failed'] as const
  await fly.machines.wait(ref, { state, withinMs: settleMs }, fly.signal)
  await lookAgain(run, ref)
}

/** Replaces what is known of a machine. */
async function lookAgain({ fly, found }: Run, ref: MachineRef): Promise<Machine | null> {
  const now = await fly.machines.machine(ref, fly.signal)
  const others = found.machines.filter(({ id }) => id !== ref.id)
  found.machines = now ? [...others, now] : others
  return now
}
