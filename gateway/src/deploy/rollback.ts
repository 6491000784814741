import type { ProblemBody } from '#api/problem/body.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { configOf, imageOf, type Machine } from '../fly/machine.ts'
import { mostAtOnce, type Execution } from './execution.ts'
import { forEachLimit } from './for-each-limit.ts'
import { isOurs } from './machines/apply.ts'
import { destroyMachine } from './machines/destroy.ts'
import { drain } from './machines/drain.ts'
import { isHealthy } from './machines/checks.ts'
import { failure, isReverted } from './machines/failures.ts'
import { waitForVersion, getMachine, untilHealthy } from './machines/health.ts'
import { waitingReporter } from './machines/report-waiting.ts'
import { isUnavailableOrBusy, retryTransient } from './machines/retry.ts'
import { numberOf } from './managed.ts'
import { machineFacts } from './plan.ts'
import type { PreviousVersion, MachineStep } from './progress.ts'
import { maxUnavailableCount } from './strategies/rolling.ts'

/**
 * Restores what every touched machine ran before, in reverse order. Throws the problem that ends
 * the deployment.
 */
export async function rollBack(run: Execution, reason: ProblemBody): Promise<never> {
  const { steps, desired } = run.progress
  run.progress.rollbackReason ??= reason
  await run.save()

  const stuck: string[] = []
  const touched = steps.filter(
    ({ outcome }) => outcome !== null && outcome !== 'rolled_back' && outcome !== 'removed',
  )
  const were = (is: (step: MachineStep) => boolean) => touched.filter(is).toReversed()
  const updated = were(({ role }) => role === 'update')
  const backAgain = (step: MachineStep) => restoreOrMarkStuck(run, step, stuck)

  // Restore the machines that served before. Only then destroy the new ones.
  await forEachLimit(
    were(({ role }) => role === 'blue'),
    steps.length,
    backAgain,
  )

  const serving = updated.length > 1 ? await servingNow(run) : []
  const serves = ({ machine }: MachineStep) => serving.includes(machine)
  // Machines that do not serve need no caution, so they come first.
  const idle = updated.filter((step) => !serves(step))
  await forEachLimit(idle, mostAtOnce, backAgain)
  await forEachLimit(
    updated.filter(serves),
    maxUnavailableCount(desired.maxUnavailable, updated.length),
    backAgain,
  )

  await forEachLimit(
    were(({ previous }) => !previous),
    steps.length,
    backAgain,
  )

  throw verdict(run, run.progress.rollbackReason, stuck)
}

/** The ids of machines that serve. If Fly does not answer, all count as serving. */
async function servingNow({
  settings,
  work,
  progress,
  stopping,
}: Execution): Promise<(string | null)[]> {
  const all = progress.steps.map(({ machine }) => machine)
  const machines = await settings.fly.machines(work.app, stopping).catch(() => null)
  return machines?.filter(isHealthy).map(({ id }) => id) ?? all
}

async function restoreOrMarkStuck(
  run: Execution,
  step: MachineStep,
  stuck: string[],
): Promise<void> {
  const { previous } = step
  run.emit(step, { status: 'rolling_back', ...(previous && { after: previous.image }) })
  try {
    const back = () =>
      previous ? putBack(run, step, previous) : destroyMachine(run, step, run.stopping)
    // Stop routing traffic to the new machine first. Ignore errors: it is destroyed anyway.
    if (step.intent === 'uncordon' && !previous)
      await drain(run, step, run.stopping).catch(() => {})

    // Fly may silently give up a rollback too. It is worth a second try.
    let reverts = 0
    const isRetryable = (error: unknown) =>
      isUnavailableOrBusy(error) || (isReverted(error) && ++reverts === 1)
    await retryTransient(patienceMs(run), run.stopping, back, isRetryable)
  } catch (error) {
    run.stopping.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    await lookAgain(run, step)
    stuck.push(`${recoveryCommand(run, step)} (${error.message})`)
    step.outcome = 'stuck'
    run.emit(step, { status: 'stuck', text: error.message })
  }
  await run.save()
}

/** Records what a stuck machine really runs. */
async function lookAgain(run: Execution, step: MachineStep): Promise<void> {
  const { fly } = run.settings
  const machine =
    step.machine && (await fly.machine(run.refOf(step), run.stopping).catch(() => null))
  if (machine) step.now = { instanceId: machine.instance_id, image: imageOf(machine) }
}

async function putBack(
  run: Execution,
  step: MachineStep,
  previous: PreviousVersion,
): Promise<void> {
  const { settings, work, stopping } = run
  const { fly } = settings
  await using lease = await run.lease(step, stopping)
  const signal = AbortSignal.any([stopping, lease.lost])

  let machine = await getMachine(fly, lease.ref, signal)
  if (isOurs(run, machine)) {
    // Keep this deployment's number, so that a late, older deployment cannot overwrite the machine.
    const metadata = { ...previous.config.metadata, tarmac_number: `${work.number}` }
    const config = { ...previous.config, metadata }
    const body = { config, current_version: machine.instance_id, skip_launch: previous.asleep }
    await run.recordIntent(step, 'update')
    machine = await lease.update(body, signal)
  } else if (machine.instance_id !== previous.instanceId && !isPutBack(run, machine)) {
    if (numberOf(machine) <= work.number)
      throw failure(machine, `was changed by something else and now runs ${imageOf(machine)}`)
    step.now = { instanceId: machine.instance_id, image: imageOf(machine) }
    step.outcome = 'rolled_back'
    run.emit(step, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
    return
  }

  if (step.role === 'blue' && !previous.cordoned) {
    await run.recordIntent(step, 'uncordon')
    await lease.uncordon(signal)
  }

  const { instance_id: instanceId } = machine
  step.now = { instanceId, image: previous.image }
  const { digest, running } = previous
  // Allow one more crash: it may be bad luck.
  const crashes = 1 + (instanceId === previous.instanceId ? previous.crashes : 0)
  const report = waitingReporter(run, step)
  const wanted = { machine: lease, instanceId, digest, running, crashes, failedStarts: 2, report }
  await waitForVersion(fly, wanted, patienceMs(run), signal)
  if (previous.healthy) await untilHealthy(fly, wanted, patienceMs(run), signal)

  step.outcome = 'rolled_back'
  run.emit(step, {
    status: 'rolled_back',
    after: previous.image,
    text: `verified on version ${instanceId}`,
  })
}

/** Longer than on the way forward, because nothing is left to fall back on. */
const patienceMs = ({ waitMs }: Execution): number => 3 * waitMs

/** Whether this deployment restored the machine before the gateway crashed. */
function isPutBack({ work }: Execution, machine: Machine): boolean {
  const { metadata } = configOf(machine)
  return (
    metadata?.['tarmac_number'] === `${work.number}` && metadata['tarmac_deployment'] !== work.id
  )
}

function recoveryCommand(
  { work }: Execution,
  { role, machine, name, previous, now }: MachineStep,
): string {
  if (!previous)
    return `machine ${machine ?? name} should be gone; run: fly machine destroy ${machine ?? name} --force --app ${work.app}`
  if (role === 'blue')
    return `machine ${machine} should run and be reachable as before; run: fly machine uncordon ${machine} --app ${work.app} && fly machine start ${machine} --app ${work.app}`
  return `machine ${machine} should run ${previous.image}, last seen on ${now?.image ?? previous.image}; run: fly machine update ${machine} --image ${previous.image} --app ${work.app}`
}

function verdict(run: Execution, reason: ProblemBody, stuck: string[]): Problem {
  const machines = machineFacts(run.progress)
  const facts = { ...Problem.from(reason).facts, machines, because: reason.code }
  if (stuck.length > 0) {
    const detail = `${reason.detail} ${stuck.length} of ${machines.length} machines could not be put back: ${stuck.join('; ')}`
    return new Problem('rollback-failed', detail, { facts })
  }

  const back = machines.filter(({ outcome }) => outcome === 'rolled_back').length
  const removed = machines.filter(({ outcome }) => outcome === 'removed').length
  const remarks = [
    ...(back > 0
      ? [`${back} machine${back > 1 ? 's are' : ' is'} back on what ran before, and verified`]
      : []),
    ...(removed > 0 ? [`${removed} new machine${removed > 1 ? 's were' : ' was'} removed`] : []),
  ]

  const ends: ProblemCode[] = ['cancelled', 'superseded']
  const detail = `${reason.detail}${remarks.length > 0 ? ` ${remarks.join('; ')}.` : ''}`
  return new Problem(ends.includes(reason.code) ? reason.code : 'deploy-failed', detail, {
    facts,
  })
}
