import { crashPoint } from '#api/flow/crash-point.ts'
import { statusOf, retryUntilKnown } from '#fly/fly-calls.ts'
import type { MachineLease } from '#fly/machine-lease.ts'
import { configOf, hasFinished, imageOf, type Machine } from '#fly/machine.ts'
import { pause } from '#api/flow/retry.ts'
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
import { isUnavailableOrBusy, retryTransient } from './retry.ts'
import { withVolumes } from './volumes.ts'

const updateAttempts = 5
const retryMs = 2000

/** Creates or updates one machine. Ends when the machine runs the release and passes its checks. */
export async function applyMachine(execution: Execution, step: MachineStep): Promise<void> {
  await using lease = step.previous && (await execution.lease(step))
  await applyChange(execution, step, lease)
  await awaitHealthy(execution, step, lease)
  crashPoint('machine-done')
}

/** Creates or updates one machine without waiting for the result. */
export async function startUpdate(execution: Execution, step: MachineStep): Promise<void> {
  await using lease = step.previous && (await execution.lease(step))
  await applyChange(execution, step, lease)
}

/**
 * Waits for the right version and image, then for health. A machine that stays stopped only needs
 * version and image.
 */
export async function awaitHealthy(
  execution: Execution,
  step: MachineStep,
  lease: MachineLease | null = null,
): Promise<void> {
  const { fly } = execution.settings
  const wanted = expectedVersion(execution, step, lease)
  const signal = lease ? AbortSignal.any([execution.signal, lease.lost]) : execution.signal
  const machine = await waitForVersion(fly, wanted, execution.waitMs, signal)
  execution.emit(step, { ...arrival(step, machine), after: imageOf(machine) })
  if (!step.launch) return
  execution.emit(step, { status: 'checking' })
  await untilHealthy(fly, wanted, execution.waitMs, signal)
}

/** What happened to a machine that is on its new version. */
function arrival({ launch, previous }: MachineStep, machine: Machine) {
  const on = `on version ${machine.instance_id}`
  if (hasFinished(machine))
    return { status: 'started', text: `finished with exit code 0, ${on}` } as const
  if (launch || machine.state === 'started') return { status: 'started', text: on } as const
  return previous
    ? ({ status: 'updated', text: `${on}, and not started: it is ${machine.state}` } as const)
    : ({ status: 'created', text: `${on}, and not started` } as const)
}

export const expectedVersion = (
  execution: Execution,
  step: MachineStep,
  lease: MachineLease | null = null,
): ExpectedVersion => ({
  machine: lease ?? execution.withoutLease(step),
  instanceId: step.now?.instanceId ?? '',
  digest: execution.job.image.digest,
  running: step.launch,
  report: waitingReporter(execution, step),
})

/** Whether the machine carries the mark of this deployment. */
export const isApplied = ({ job }: Execution, machine: Machine): boolean =>
  configOf(machine).metadata?.['tarmac_deployment'] === job.id

/** No machine starts with older secrets than the deployment knows. */
export const secretsOf = ({ secrets }: Pick<Execution['job'], 'secrets'>) =>
  secrets && secrets.version > 0 ? { min_secrets_version: secrets.version } : {}

async function applyChange(
  execution: Execution,
  step: MachineStep,
  lease: MachineLease | null,
): Promise<void> {
  const machine = lease ? await update(execution, step, lease) : await create(execution, step)
  step.machine = machine.id
  step.now = step.attempted = {
    instanceId: machine.instance_id,
    image: execution.job.image.reference,
  }
  await execution.save()
}

/** Creates the step's machine, unless it exists: a crash may have lost only Fly's answer. */
export async function create(execution: Execution, step: MachineStep): Promise<Machine> {
  const { settings, job, stopping } = execution
  const found = await findCreated(execution, step)
  if (found) assertNotOlder(job.number, found)
  if (found) return found

  execution.emit(step, { status: 'creating', before: null })
  const config = createdConfig(execution, step)
  if (config.mounts) config.mounts = await withVolumes(execution, step, config.mounts)
  recordApplied(execution, step, config)
  await execution.recordIntent(step, 'create')

  const { name, region, launch } = step
  const isHidden = step.role === 'green' || step.role === 'tested'
  const body = {
    name,
    region,
    config,
    skip_launch: !launch,
    ...secretsOf(job),
    ...(isHidden && { skip_service_registration: true }),
  }
  // Fly refuses with 412 until it has the version of the secrets. A repeat creates no second one.
  return await retryTransient(
    execution.waitMs,
    stopping,
    () => retryUntilKnown(() => settings.fly.createMachine(job.app, body, stopping), stopping),
    (error) => job.secrets?.version !== undefined && statusOf(error) === 412,
  )
}

/** The step's machine, if this deployment has created it already. */
async function findCreated(execution: Execution, step: MachineStep): Promise<Machine | undefined> {
  if (step.machine) return await readMachine(execution, step, execution.stopping)
  if (step.intent !== 'create') return undefined
  return await execution.retryWhileUnavailable(() =>
    findListed(execution, step, execution.stopping),
  )
}

async function update(
  execution: Execution,
  step: MachineStep,
  lease: MachineLease,
): Promise<Machine> {
  const signal = AbortSignal.any([execution.stopping, lease.lost])
  for (let attempt = 1; ; attempt++) {
    execution.signal.throwIfAborted()
    const machine = await readMachine(execution, step, signal)
    if (isApplied(execution, machine)) return machine
    assertNotOlder(execution.job.number, machine)
    if (step.now) throw reverted(machine)
    // Something changed the machine before we got the lease. A rollback restores that version.
    if (machine.instance_id !== step.previous?.instanceId)
      replacePrevious(execution, step, previousVersionOf(machine))

    const config = updatedConfig(execution, step)
    recordApplied(execution, step, config)
    await execution.recordIntent(step, 'update')
    if (attempt === 1)
      execution.emit(step, { status: 'updating', before: step.previous?.image ?? null })

    const body = {
      config,
      current_version: machine.instance_id,
      skip_launch: !step.launch,
      ...secretsOf(execution.job),
    }
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
