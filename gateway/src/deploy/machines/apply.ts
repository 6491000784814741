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
export async function applyMachine(run: Execution, step: MachineStep): Promise<void> {
  await using lease = step.previous && (await run.lease(step))
  await applyChange(run, step, lease)
  await awaitHealthy(run, step, lease)
  crashPoint('machine-done')
}

/** Creates or updates one machine without waiting for the result. */
export async function startUpdate(run: Execution, step: MachineStep): Promise<void> {
  await using lease = step.previous && (await run.lease(step))
  await applyChange(run, step, lease)
}

/**
 * Waits for the right version and image, then for health. A machine that stays stopped only needs
 * version and image.
 */
export async function awaitHealthy(
  run: Execution,
  step: MachineStep,
  lease: MachineLease | null = null,
): Promise<void> {
  const { fly } = run.settings
  const wanted = { ...expectedVersion(run, step), ...(lease && { nonce: lease.nonce }) }
  const signal = lease ? AbortSignal.any([run.signal, lease.lost]) : run.signal
  const machine = await waitForVersion(fly, wanted, run.waitMs, signal)
  const text = `${machine.state} on version ${machine.instance_id}`
  run.emit(step, { status: 'started', after: imageOf(machine), text })
  if (!step.launch) return
  run.emit(step, { status: 'checking' })
  await untilHealthy(fly, wanted, run.waitMs, signal)
}

/** Destroys a machine, and waits until it is gone. */
export async function destroyMachine(
  run: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<void> {
  const { fly } = run.settings
  const { app } = run.work

  const found = await retryUntilVisible(() => find(run, step, signal), signal)
  if (found && numberOf(found) > run.work.number) {
    step.outcome = 'rolled_back'
    await run.save()
    return run.emit(step, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
  }

  if (found && found.state !== 'destroyed') {
    step.machine = found.id
    await using lease = step.previous && (await run.lease(step, signal))
    await run.recordIntent(step, 'destroy')
    const deadline = performance.now() + destroyTimeoutMs
    for (
      let left: Machine | null = found;
      left && left.state !== 'destroyed';
      left = await find(run, step, signal)
    ) {
      if (left.state !== 'destroying') await fly.deleteMachine(app, left.id, lease?.nonce, signal)
      await fly.wait(app, left.id, { state: 'destroyed', withinMs: destroyTimeoutMs }, signal)
      if (performance.now() > deadline)
        throw failure(left, `was not gone ${destroyTimeoutMs / 1000} s after it was destroyed`)
    }
  }

  step.now = null
  step.outcome = 'removed'
  await run.save()
  run.emit(step, { status: 'removed' })
}

export function expectedVersion({ work }: Execution, step: MachineStep): ExpectedVersion {
  const instanceId = step.now?.instanceId ?? ''
  return {
    app: work.app,
    machine: step.machine ?? '',
    instanceId,
    digest: work.image.digest,
    running: step.launch,
  }
}

/** Whether the machine carries the mark of this deployment. */
export const isOurs = ({ work }: Execution, machine: Machine): boolean =>
  configOf(machine).metadata?.['tarmac_deployment'] === work.id

async function applyChange(
  run: Execution,
  step: MachineStep,
  lease: MachineLease | null,
): Promise<void> {
  const machine = lease ? await update(run, step, lease) : await create(run, step)
  step.machine = machine.id
  step.now = step.attempted = { instanceId: machine.instance_id, image: run.work.image.reference }
  await run.save()
}

/** Creates the step's machine, unless it exists: a crash may have lost only Fly's answer. */
export async function create(run: Execution, step: MachineStep): Promise<Machine> {
  const { settings, work, stopping } = run
  const { fly } = settings
  const id = step.machine
  const found = id
    ? await run.retryWhileUnavailable(() => getMachine(fly, work.app, id, stopping))
    : step.intent === 'create' &&
      (await run.retryWhileUnavailable(() => listed(run, step, stopping)))
  if (found) assertNotOlder(work.number, found)
  if (found) return found

  run.emit(step, { status: 'creating', before: null })
  const config = newConfig(run, step)
  if (config.mounts) config.mounts = await withVolumes(run, step, config.mounts)
  recordApplied(run, step, config)
  await run.recordIntent(step, 'create')
  return await fly.createMachine(
    work.app,
    {
      name: step.name,
      region: step.region,
      config,
      skip_launch: !step.launch,
      ...(step.role === 'green' && { skip_service_registration: true }),
    },
    stopping,
  )
}

async function update(run: Execution, step: MachineStep, lease: MachineLease): Promise<Machine> {
  const { settings, work } = run
  const { fly } = settings
  const signal = AbortSignal.any([run.stopping, lease.lost])
  for (let attempt = 1; ; attempt++) {
    run.signal.throwIfAborted()
    const machine = await run.retryWhileUnavailable(() =>
      getMachine(fly, work.app, step.machine ?? '', signal),
    )
    if (isOurs(run, machine)) return machine
    assertNotOlder(work.number, machine)
    if (step.now) throw reverted(machine)
    // Something changed the machine before we got the lease. A rollback restores that version.
    if (machine.instance_id !== step.previous?.instanceId)
      refresh(run, step, previousVersionOf(machine))

    const config = mergeConfig(step.previous?.config ?? {}, desiredGroupOf(run, step), marks(run))
    recordApplied(run, step, config)
    await run.recordIntent(step, 'update')
    if (attempt === 1) run.emit(step, { status: 'updating', before: step.previous?.image ?? null })

    const body = { config, current_version: machine.instance_id, skip_launch: !step.launch }
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
function refresh({ rollout }: Execution, step: MachineStep, previous: PreviousVersion): void {
  const steps = rollout.steps.map((each) => (each === step ? { ...step, previous } : each))
  refuseLargeRollout({ ...rollout, steps })
  step.previous = previous
}

/** The step's machine, or null. It counts as missing only if the app's list lacks it too. */
async function find(
  run: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | null> {
  const { fly } = run.settings
  const found = step.machine ? await fly.machine(run.work.app, step.machine, signal) : null
  return found ?? (await listed(run, step, signal)) ?? null
}

async function listed(
  { settings, work }: Execution,
  step: MachineStep,
  signal: AbortSignal,
): Promise<Machine | undefined> {
  const machines = await settings.fly.machines(work.app, signal)
  return machines.find(({ id, name }) => (step.machine ? id === step.machine : name === step.name))
}

/**
 * The config of a new machine. It starts from an existing machine's config, `step.base`, if any.
 */
function newConfig(run: Execution, step: MachineStep): MachineConfig {
  const { desired, steps } = run.rollout
  const desiredGroup = desiredGroupOf(run, step)
  const appliedConfig = mergeConfig(
    { guest: desiredGroup.lastApplied?.guest ?? desired.guest, ...step.base },
    desiredGroup,
    marks(run),
  )

  if (step.role === 'canary') {
    const dns = { ...(appliedConfig['dns'] as object | undefined), skip_registration: true }
    return { ...appliedConfig, dns, metadata: { ...appliedConfig.metadata, fly_canary: 'true' } }
  }
  const active = step.standbyFor && steps.find(({ name }) => name === step.standbyFor)?.machine
  return active
    ? {
        ...appliedConfig,
        standbys: [active],
        env: { ...appliedConfig.env, FLY_STANDBY_FOR: active },
      }
    : appliedConfig
}

const desiredGroupOf = (
  { rollout: { desired } }: Execution,
  { role, group }: MachineStep,
): Pick<DesiredGroup, 'config' | 'lastApplied' | 'removedPaths'> =>
  (role === 'releaseCommand'
    ? desired.releaseCommand
    : desired.groups.find(({ name }) => name === group)) ?? {
    config: {},
  }

/** Records the config for the later release. Temporary machines do not count. */
function recordApplied(
  { rollout }: Execution,
  { role, group }: MachineStep,
  config: MachineConfig,
): void {
  if (role !== 'releaseCommand' && role !== 'canary')
    rollout.appliedConfig = { [group]: config, ...rollout.appliedConfig }
}

const marks = ({ settings, work }: Execution): OwnershipMetadata => ({
  image: work.image,
  deployment: work.id,
  number: work.number,
  owner: work.options.owner,
  builder: settings.builder,
})
