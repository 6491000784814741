import { crashPoint } from '../../crash-point.ts'
import type { MachineLease } from '../../fly/machine-lease.ts'
import { configOf, hasFinished, imageOf, type Machine } from '../../fly/machine.ts'
import { pause } from '../../retry.ts'
import { refuseLargeRollout } from '../config/desired-size.ts'
import type { Execution } from '../execution.ts'
import { assertNotOlder } from '../managed.ts'
import { previousVersionOf } from '../plan.ts'
import type { PreviousVersion, MachineStep } from '../progress.ts'
import { createdConfig, recordApplied, updatedConfig } from './config.ts'
import { findListed } from './destroy.ts'
import { reverted } from './failures.ts'
import { waitForVersion, readMachine, untilHealthy, type ExpectedVersion } from './health.ts'
import { waitingReporter } from './report-waiting.ts'
import { isUnavailableOrBusy } from './retry.ts'
import { withVolumes } from './volumes.ts'

const updateAttempts = 5
const retryMs = 2000

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
  const wanted = expectedVersion(run, step, lease)
  const signal = lease ? AbortSignal.any([run.signal, lease.lost]) : run.signal
  const machine = await waitForVersion(fly, wanted, run.waitMs, signal)
  const how = hasFinished(machine) ? 'finished with exit code 0' : machine.state
  const text = `${how} on version ${machine.instance_id}`
  run.emit(step, { status: 'started', after: imageOf(machine), text })
  if (!step.launch) return
  run.emit(step, { status: 'checking' })
  await untilHealthy(fly, wanted, run.waitMs, signal)
}

export const expectedVersion = (
  run: Execution,
  step: MachineStep,
  lease: MachineLease | null = null,
): ExpectedVersion => ({
  machine: lease ?? run.withoutLease(step),
  instanceId: step.now?.instanceId ?? '',
  digest: run.work.image.digest,
  running: step.launch,
  report: waitingReporter(run, step),
})

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
  step.now = step.attempted = {
    instanceId: machine.instance_id,
    image: run.work.image.reference,
  }
  await run.save()
}

/** Creates the step's machine, unless it exists: a crash may have lost only Fly's answer. */
export async function create(run: Execution, step: MachineStep): Promise<Machine> {
  const { settings, work, stopping } = run
  const found = await findCreated(run, step)
  if (found) assertNotOlder(work.number, found)
  if (found) return found

  run.emit(step, { status: 'creating', before: null })
  const config = createdConfig(run, step)
  if (config.mounts) config.mounts = await withVolumes(run, step, config.mounts)
  recordApplied(run, step, config)
  await run.recordIntent(step, 'create')

  const { name, region, launch } = step
  const isGreen = step.role === 'green'
  const body = {
    name,
    region,
    config,
    skip_launch: !launch,
    ...(isGreen && { skip_service_registration: true }),
  }
  return await settings.fly.createMachine(work.app, body, stopping)
}

/** The step's machine, if this deployment has created it already. */
async function findCreated(run: Execution, step: MachineStep): Promise<Machine | undefined> {
  if (step.machine) return await readMachine(run, step, run.stopping)
  if (step.intent !== 'create') return undefined
  return await run.retryWhileUnavailable(() => findListed(run, step, run.stopping))
}

async function update(run: Execution, step: MachineStep, lease: MachineLease): Promise<Machine> {
  const signal = AbortSignal.any([run.stopping, lease.lost])
  for (let attempt = 1; ; attempt++) {
    run.signal.throwIfAborted()
    const machine = await readMachine(run, step, signal)
    if (isOurs(run, machine)) return machine
    assertNotOlder(run.work.number, machine)
    if (step.now) throw reverted(machine)
    // Something changed the machine before we got the lease. A rollback restores that version.
    if (machine.instance_id !== step.previous?.instanceId)
      replacePrevious(run, step, previousVersionOf(machine))

    const config = updatedConfig(run, step)
    recordApplied(run, step, config)
    await run.recordIntent(step, 'update')
    if (attempt === 1) run.emit(step, { status: 'updating', before: step.previous?.image ?? null })

    const body = { config, current_version: machine.instance_id, skip_launch: !step.launch }
    try {
      return await lease.update(body, signal)
    } catch (error) {
      // The answer was lost, or the machine changed. Read the machine again before anything else.
      if (!isUnavailableOrBusy(error) || attempt === updateAttempts) throw error
      await pause(retryMs * Math.random(), signal)
    }
  }
}

/** Throws before the machine is touched if its config has become too large to save. */
function replacePrevious(
  { progress }: Execution,
  step: MachineStep,
  previous: PreviousVersion,
): void {
  const steps = progress.steps.map((each) => (each === step ? { ...step, previous } : each))
  refuseLargeRollout({ ...progress, steps })
  step.previous = previous
}
