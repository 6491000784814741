import { setTimeout as delay } from 'node:timers/promises'
import { crashPoint } from '../../crash-point.ts'
import type { MachineLease } from '../../fly/machine-lease.ts'
import { configOf, imageOf, type Machine, type MachineConfig } from '../../fly/machine.ts'
import type { DesiredGroup } from '../config/desired-app.ts'
import { refuseLargeRollout } from '../config/desired-size.ts'
import { mergeConfig, type OwnershipMetadata } from '../config/merge-config.ts'
import type { Execution } from '../execution.ts'
import { numberOf, assertNotOlder } from '../managed.ts'
import { previousVersionOf } from '../plan.ts'
import type { PreviousVersion, MachineStep } from '../progress.ts'
import {
  failure,
  reverted,
  waitForVersion,
  getMachine,
  untilHealthy,
  type ExpectedVersion,
} from './health.ts'
import { isUnavailableOrBusy, retryUntilVisible } from './retry.ts'
import { withVolumes } from './volumes.ts'

const updateAttempts = 5
const retryMs = 2000
const destroyTimeoutMs = 60_000

/** Creates or updates one machine. Ends when the machine runs the release and passes its checks. */
export async function applyMachine(run: Execution, slot: MachineStep): Promise<void> {
  await using lease = slot.former && (await run.lease(slot))
  await applyChange(run, slot, lease)
  await awaitHealthy(run, slot, lease)
  crashPoint('machine-done')
}

/** Creates or updates one machine without waiting for the result. */
export async function startUpdate(run: Execution, slot: MachineStep): Promise<void> {
  await using lease = slot.former && (await run.lease(slot))
  await applyChange(run, slot, lease)
}

/**
 * Waits for the right version and image, then for health. A machine that stays stopped only needs
 * version and image.
 */
export async function awaitHealthy(
  run: Execution,
  slot: MachineStep,
  lease: MachineLease | null = null,
): Promise<void> {
  const { fly } = run.settings
  const wanted = { ...expectedVersion(run, slot), ...(lease && { nonce: lease.nonce }) }
  const signal = lease ? AbortSignal.any([run.signal, lease.lost]) : run.signal
  const machine = await waitForVersion(fly, wanted, run.waitMs, signal)
  const text = `${machine.state} on version ${machine.instance_id}`
  run.emit(slot, { status: 'started', after: imageOf(machine), text })
  if (!slot.launch) return
  run.emit(slot, { status: 'checking' })
  await untilHealthy(fly, wanted, run.waitMs, signal)
}

/** Destroys a machine, and waits until it is gone. */
export async function destroyMachine(
  run: Execution,
  slot: MachineStep,
  signal: AbortSignal,
): Promise<void> {
  const { fly } = run.settings
  const { app } = run.work

  const found = await retryUntilVisible(() => find(run, slot, signal), signal)
  if (found && numberOf(found) > run.work.number) {
    slot.outcome = 'rolled_back'
    await run.save()
    return run.emit(slot, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
  }

  if (found && found.state !== 'destroyed') {
    slot.machine = found.id
    await using lease = slot.former && (await run.lease(slot, signal))
    await run.recordIntent(slot, 'destroy')
    const deadline = performance.now() + destroyTimeoutMs
    for (
      let left: Machine | null = found;
      left && left.state !== 'destroyed';
      left = await find(run, slot, signal)
    ) {
      if (left.state !== 'destroying') await fly.deleteMachine(app, left.id, lease?.nonce, signal)
      await fly.wait(app, left.id, { state: 'destroyed', withinMs: destroyTimeoutMs }, signal)
      if (performance.now() > deadline)
        throw failure(left, `was not gone ${destroyTimeoutMs / 1000} s after it was destroyed`)
    }
  }

  slot.now = null
  slot.outcome = 'removed'
  await run.save()
  run.emit(slot, { status: 'removed' })
}

export function expectedVersion({ work }: Execution, slot: MachineStep): ExpectedVersion {
  const instanceId = slot.now?.instanceId ?? ''
  return {
    app: work.app,
    machine: slot.machine ?? '',
    instanceId,
    digest: work.image.digest,
    running: slot.launch,
  }
}

/** Whether the machine carries the mark of this deployment. */
export const isOurs = ({ work }: Execution, machine: Machine): boolean =>
  configOf(machine).metadata?.['tarmac_deployment'] === work.id

async function applyChange(
  run: Execution,
  slot: MachineStep,
  lease: MachineLease | null,
): Promise<void> {
  const machine = lease ? await update(run, slot, lease) : await create(run, slot)
  slot.machine = machine.id
  slot.now = slot.tried = { instanceId: machine.instance_id, image: run.work.image.reference }
  await run.save()
}

/** Creates the slot's machine, unless it exists: a crash may have lost only Fly's answer. */
export async function create(run: Execution, slot: MachineStep): Promise<Machine> {
  const { settings, work, stopping } = run
  const { fly } = settings
  const id = slot.machine
  const found = id
    ? await run.retryWhileUnavailable(() => getMachine(fly, work.app, id, stopping))
    : slot.intent === 'create' &&
      (await run.retryWhileUnavailable(() => listed(run, slot, stopping)))
  if (found) assertNotOlder(work.number, found)
  if (found) return found

  run.emit(slot, { status: 'creating', before: null })
  const config = newConfig(run, slot)
  if (config.mounts) config.mounts = await withVolumes(run, slot, config.mounts)
  recordApplied(run, slot, config)
  await run.recordIntent(slot, 'create')
  return await fly.createMachine(
    work.app,
    {
      name: slot.name,
      region: slot.region,
      config,
      skip_launch: !slot.launch,
      ...(slot.role === 'green' && { skip_service_registration: true }),
    },
    stopping,
  )
}

async function update(run: Execution, slot: MachineStep, lease: MachineLease): Promise<Machine> {
  const { settings, work } = run
  const { fly } = settings
  const signal = AbortSignal.any([run.stopping, lease.lost])
  for (let attempt = 1; ; attempt++) {
    run.signal.throwIfAborted()
    const machine = await run.retryWhileUnavailable(() =>
      getMachine(fly, work.app, slot.machine ?? '', signal),
    )
    if (isOurs(run, machine)) return machine
    assertNotOlder(work.number, machine)
    if (slot.now) throw reverted(machine)
    // Something changed the machine before we got the lease. A rollback restores that version.
    if (machine.instance_id !== slot.former?.instanceId)
      refresh(run, slot, previousVersionOf(machine))

    const config = mergeConfig(slot.former?.config ?? {}, desiredGroupOf(run, slot), marks(run))
    recordApplied(run, slot, config)
    await run.recordIntent(slot, 'update')
    if (attempt === 1) run.emit(slot, { status: 'updating', before: slot.former?.image ?? null })

    const body = { config, current_version: machine.instance_id, skip_launch: !slot.launch }
    try {
      return await fly.updateMachine(work.app, machine.id, body, lease.nonce, signal)
    } catch (error) {
      // The answer was lost, or the machine changed. Read the machine again before anything else.
      if (!isUnavailableOrBusy(error) || attempt === updateAttempts) throw error
      await delay(retryMs * Math.random(), undefined, { signal })
    }
  }
}

/** Throws before the machine is touched if its config has become too large to save. */
function refresh({ rollout }: Execution, slot: MachineStep, former: PreviousVersion): void {
  const slots = rollout.slots.map((each) => (each === slot ? { ...slot, former } : each))
  refuseLargeRollout({ ...rollout, slots })
  slot.former = former
}

/** The slot's machine, or null. It counts as missing only if the app's list lacks it too. */
async function find(
  run: Execution,
  slot: MachineStep,
  signal: AbortSignal,
): Promise<Machine | null> {
  const { fly } = run.settings
  const found = slot.machine ? await fly.machine(run.work.app, slot.machine, signal) : null
  return found ?? (await listed(run, slot, signal)) ?? null
}

async function listed(
  { settings, work }: Execution,
  slot: MachineStep,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const machines = await settings.fly.machines(work.app, signal)
  return machines.find(({ id, name }) => (slot.machine ? id === slot.machine : name === slot.name))
}

/**
 * The config of a new machine. It starts from an existing machine's config, `slot.base`, if any.
 */
function newConfig(run: Execution, slot: MachineStep): MachineConfig {
  const { desired, slots } = run.rollout
  const desiredGroup = desiredGroupOf(run, slot)
  const laid = mergeConfig(
    { guest: desiredGroup.was?.guest ?? desired.guest, ...slot.base },
    desiredGroup,
    marks(run),
  )

  if (slot.role === 'canary') {
    const dns = { ...(laid['dns'] as object | undefined), skip_registration: true }
    return { ...laid, dns, metadata: { ...laid.metadata, fly_canary: 'true' } }
  }
  const active = slot.standbyFor && slots.find(({ name }) => name === slot.standbyFor)?.machine
  return active
    ? { ...laid, standbys: [active], env: { ...laid.env, FLY_STANDBY_FOR: active } }
    : laid
}

const desiredGroupOf = (
  { rollout: { desired } }: Execution,
  { role, group }: MachineStep,
): Pick<DesiredGroup, 'config' | 'was' | 'gone'> =>
  (role === 'release' ? desired.release : desired.groups.find(({ name }) => name === group)) ?? {
    config: {},
  }

/** Records the config for the later release. Temporary machines do not count. */
function recordApplied(
  { rollout }: Execution,
  { role, group }: MachineStep,
  config: MachineConfig,
): void {
  if (role !== 'release' && role !== 'canary') rollout.laid = { [group]: config, ...rollout.laid }
}

const marks = ({ settings, work }: Execution): OwnershipMetadata => ({
  image: work.image,
  deployment: work.id,
  number: work.number,
  owner: work.options.owner,
  builder: settings.builder,
})
