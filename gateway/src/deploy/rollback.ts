import type { ProblemBody } from '#api/problem/body.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { configOf, imageOf, type Machine } from '#fly/machine.ts'
import { maxParallel, type Execution } from './execution.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { isApplied, secretsOf } from './machines/apply.ts'
import { destroyMachine } from './machines/destroy.ts'
import { drain } from './machines/drain.ts'
import { isHealthy } from './machines/checks.ts'
import { explainFailure } from './machines/explain-failure.ts'
import { failure, isReverted } from './machines/failures.ts'
import { waitForVersion, getMachine, untilHealthy } from './machines/health.ts'
import { routeBack } from './routing/route.ts'
import { seenOf } from './machines/seen.ts'
import { waitingReporter } from './machines/report-waiting.ts'
import { isUnavailableOrBusy, retryTransient } from './machines/retry.ts'
import { numberOf } from './managed.ts'
import { machineFacts } from './plan.ts'
import type { PreviousVersion, MachineStep, Version } from './progress.ts'
import { maxUnavailableCount } from './strategies/rolling.ts'

/** Runs `step`. If it fails, it restores the machines and throws what ends the deployment. */
export async function orRollBack(
  execution: Execution,
  step: (execution: Execution) => Promise<void>,
): Promise<void> {
  try {
    await step(execution)
  } catch (error) {
    const reason = await explainFailure(execution, execution.rollbackReason(error))
    await rollBack(execution, execution.job.redact(reason.body()))
  }
}

/**
 * Restores what every touched machine ran before, in reverse order. Throws the problem that ends
 * the deployment.
 */
export async function rollBack(execution: Execution, reason: ProblemBody): Promise<never> {
  const { steps, desired } = execution.progress
  execution.progress.rollbackReason ??= reason
  await execution.save()

  const stuck: string[] = []
  const touched = steps.filter(
    ({ outcome }) => outcome !== null && outcome !== 'rolled_back' && outcome !== 'removed',
  )
  const touchedWhere = (is: (step: MachineStep) => boolean) => touched.filter(is).toReversed()
  const updated = touchedWhere(({ role }) => role === 'update')
  const restore = (step: MachineStep) => restoreOrMarkStuck(execution, step, stuck)

  // Restore the machines that served before. Only then destroy the new ones.
  await forEachLimit(
    touchedWhere(({ role }) => role === 'blue'),
    steps.length,
    restore,
  )

  const serving = updated.length > 1 ? await servingNow(execution) : []
  const serves = ({ machine }: MachineStep) => serving.includes(machine)
  // Machines that do not serve need no caution, so they come first.
  const idle = updated.filter((step) => !serves(step))
  await forEachLimit(idle, maxParallel, restore)
  await forEachLimit(
    updated.filter(serves),
    maxUnavailableCount(desired.maxUnavailable, updated.length),
    restore,
  )

  await routeBack(execution)
  await forEachLimit(
    touchedWhere(({ previous }) => !previous),
    steps.length,
    restore,
  )

  throw verdict(execution, execution.progress.rollbackReason, stuck)
}

/** The ids of machines that serve. If Fly does not answer, all count as serving. */
async function servingNow({
  settings,
  job,
  progress,
  stopping,
}: Execution): Promise<(string | null)[]> {
  const all = progress.steps.map(({ machine }) => machine)
  const machines = await settings.fly.machines(job.app, stopping).catch(() => null)
  return machines?.filter(isHealthy).map(({ id }) => id) ?? all
}

async function restoreOrMarkStuck(
  execution: Execution,
  step: MachineStep,
  stuck: string[],
): Promise<void> {
  const { previous } = step
  execution.emit(step, { status: 'rolling_back', ...(previous && { after: previous.image }) })
  try {
    const restore = () =>
      previous
        ? restoreMachine(execution, step, previous)
        : destroyMachine(execution, step, execution.stopping)
    // Stop routing traffic to the new machine first. Ignore errors: it is destroyed anyway.
    if (step.intent === 'uncordon' && !previous)
      await drain(execution, step, execution.stopping).catch(() => {})

    // Fly may silently give up a rollback too. It is worth a second try.
    let reverts = 0
    const isRetryable = (error: unknown) =>
      isUnavailableOrBusy(error) || (isReverted(error) && ++reverts === 1)
    await retryTransient(rollbackWaitMs(execution), execution.stopping, restore, isRetryable)
  } catch (error) {
    execution.stopping.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    await recordActualVersion(execution, step)
    stuck.push(`${recoveryCommand(execution, step)} (${error.message})`)
    step.outcome = 'stuck'
    execution.emit(step, { status: 'stuck', text: error.message })
  }
  await execution.save()
}

/** Records what a stuck machine really runs. */
async function recordActualVersion(execution: Execution, step: MachineStep): Promise<void> {
  const { fly } = execution.settings
  const machine =
    step.machine && (await fly.machine(execution.refOf(step), execution.stopping).catch(() => null))
  if (machine) step.now = versionOf(machine)
}

async function restoreMachine(
  execution: Execution,
  step: MachineStep,
  previous: PreviousVersion,
): Promise<void> {
  const { settings, job, stopping } = execution
  const { fly } = settings
  await using lease = await execution.lease(step, stopping)
  const signal = AbortSignal.any([stopping, lease.lost])

  let machine = await getMachine(fly, lease.ref, signal)
  if (isApplied(execution, machine)) {
    // Keep this deployment's number, so that a late, older deployment cannot overwrite the machine.
    const metadata = { ...previous.config.metadata, tarmac_number: `${job.number}` }
    const config = { ...previous.config, metadata }
    const body = {
      config,
      current_version: machine.instance_id,
      skip_launch: previous.asleep,
      ...secretsOf(job),
    }
    await execution.recordIntent(step, 'update')
    machine = await lease.update(body, signal)
  } else if (machine.instance_id !== previous.instanceId && !isRestored(execution, machine)) {
    if (numberOf(machine) <= job.number)
      throw failure(machine, `was changed by something else and now runs ${imageOf(machine)}`)
    step.now = versionOf(machine)
    step.outcome = 'rolled_back'
    execution.emit(step, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
    return
  }

  if (step.role === 'blue' && !previous.cordoned) {
    await execution.recordIntent(step, 'uncordon')
    await lease.uncordon(signal)
  }

  const { instance_id: instanceId } = machine
  step.now = { instanceId, image: previous.image }
  const { digest, running } = previous
  // Allow one more crash: it may be bad luck.
  const crashes = 1 + (instanceId === previous.instanceId ? previous.crashes : 0)
  const report = waitingReporter(execution, step)
  const wanted = { machine: lease, instanceId, digest, running, crashes, failedStarts: 2, report }
  machine = await waitForVersion(fly, wanted, rollbackWaitMs(execution), signal)
  if (previous.healthy) machine = await untilHealthy(fly, wanted, rollbackWaitMs(execution), signal)
  step.now.seen = seenOf(machine)

  step.outcome = 'rolled_back'
  execution.emit(step, {
    status: 'rolled_back',
    after: previous.image,
    text: `verified on version ${instanceId}`,
  })
}

const versionOf = (machine: Machine): Version => ({
  instanceId: machine.instance_id,
  image: imageOf(machine),
  seen: seenOf(machine),
})

/** Longer than on the way forward, because nothing is left to fall back on. */
const rollbackWaitMs = ({ waitMs }: Execution): number => 3 * waitMs

/** Whether this deployment restored the machine before the gateway crashed. */
function isRestored({ job }: Execution, machine: Machine): boolean {
  const { metadata } = configOf(machine)
  return metadata?.['tarmac_number'] === `${job.number}` && metadata['tarmac_deployment'] !== job.id
}

function recoveryCommand(
  { job }: Execution,
  { role, machine, name, previous, now }: MachineStep,
): string {
  const id = machine ?? name
  if (!previous)
    return `machine ${id} should be gone; run: fly machine stop ${id} --app ${job.app} && fly machine destroy ${id} --app ${job.app}`
  if (role === 'blue')
    return `machine ${machine} should run and be reachable as before; run: fly machine uncordon ${machine} --app ${job.app} && fly machine start ${machine} --app ${job.app}`
  return `machine ${machine} should run ${previous.image}, last seen on ${now?.image ?? previous.image}; run: fly machine update ${machine} --image ${previous.image} --app ${job.app}`
}

function verdict(execution: Execution, reason: ProblemBody, stuck: string[]): Problem {
  const machines = machineFacts(execution.progress)
  const facts = { ...Problem.from(reason).facts, machines, because: reason.code }
  if (stuck.length > 0) {
    const detail = `${reason.detail} ${stuck.length} of ${machines.length} machines could not be rolled back: ${stuck.join('; ')}`
    return new Problem('rollback-failed', detail, { facts })
  }

  const back = machines.filter(({ outcome }) => outcome === 'rolled_back').length
  const removed = machines.filter(({ outcome }) => outcome === 'removed').length
  const remarks = [
    ...(back > 0
      ? [
          `${back} machine${back > 1 ? 's are' : ' is'} rolled back to the previous version and verified`,
        ]
      : []),
    ...(removed > 0 ? [`${removed} new machine${removed > 1 ? 's were' : ' was'} removed`] : []),
  ]

  const ends: ProblemCode[] = ['cancelled', 'superseded']
  const detail = `${reason.detail}${remarks.length > 0 ? ` ${remarks.join('; ')}.` : ''}`
  return new Problem(ends.includes(reason.code) ? reason.code : 'deploy-failed', detail, { facts })
}
