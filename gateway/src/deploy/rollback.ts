import { Problem, type ProblemBody, type ProblemCode } from '#api/problem.ts'
import { configOf, imageOf, type Machine } from '../fly/machine.ts'
import { numberOf } from './managed.ts'
import { forEachLimit } from './for-each-limit.ts'
import { isOurs, destroyMachine } from './machines/apply.ts'
import {
  failure,
  isUnavailableOrBusy,
  isHealthy,
  isReverted,
  retryTransient,
  waitForVersion,
  getMachine,
  untilHealthy,
} from './machines/health.ts'
import { drain } from './machines/drain.ts'
import { maxUnavailableCount } from './strategies/rolling.ts'
import { machineFacts, type PreviousVersion, type MachineStep } from './plan.ts'
import { mostAtOnce, type Execution } from './execution.ts'

/** Puts every touched machine back on what it ran before, last touched first, and throws what the deployment ends with. */
export async function rollBack(run: Execution, because: ProblemBody): Promise<never> {
  const { slots, desired } = run.rollout
  run.rollout.because ??= because
  await run.save()
  const stuck: string[] = []
  const touched = slots.filter(
    ({ outcome }) => outcome !== null && outcome !== 'rolled_back' && outcome !== 'removed',
  )
  const were = (is: (slot: MachineStep) => boolean) => touched.filter(is).toReversed()
  const updated = were(({ role }) => role === 'update')
  const backAgain = (slot: MachineStep) => restoreOrMarkStuck(run, slot, stuck)
  // What served before comes first, and only then goes what was made to take its place.
  await forEachLimit(
    were(({ role }) => role === 'blue'),
    slots.length,
    backAgain,
  )
  const serving = updated.length > 1 ? await servingNow(run) : []
  const serves = ({ machine }: MachineStep) => serving.includes(machine)
  // Those that do not serve need no caution, and are the first.
  const idle = updated.filter((slot) => !serves(slot))
  await forEachLimit(idle, mostAtOnce, backAgain)
  await forEachLimit(
    updated.filter(serves),
    maxUnavailableCount(desired.maxUnavailable, updated.length),
    backAgain,
  )
  await forEachLimit(
    were(({ former }) => !former),
    slots.length,
    backAgain,
  )
  throw verdict(run, run.rollout.because, stuck)
}

/** Where Fly does not say it, every machine is taken to serve. */
async function servingNow({
  settings,
  work,
  rollout,
  stopping,
}: Execution): Promise<(string | null)[]> {
  const all = rollout.slots.map(({ machine }) => machine)
  const machines = await settings.fly.machines(work.app, stopping).catch(() => null)
  return machines?.filter(isHealthy).map(({ id }) => id) ?? all
}

async function restoreOrMarkStuck(
  run: Execution,
  slot: MachineStep,
  stuck: string[],
): Promise<void> {
  const { former } = slot
  run.emit(slot, { status: 'rolling_back', ...(former && { after: former.image }) })
  try {
    const back = () =>
      former ? putBack(run, slot, former) : destroyMachine(run, slot, run.stopping)
    // It may serve; but it is to go, however well that ends.
    if (slot.intent === 'uncordon' && !former) await drain(run, slot, run.stopping).catch(() => {})
    // The way back may be given up by Fly in silence, as the way forward may: it is worth a second try.
    let reverts = 0
    const isRetryable = (error: unknown) =>
      isUnavailableOrBusy(error) || (isReverted(error) && ++reverts === 1)
    await retryTransient(patienceMs(run), run.stopping, back, isRetryable)
  } catch (error) {
    run.stopping.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    await lookAgain(run, slot)
    stuck.push(`${recoveryCommand(run, slot)} (${error.message})`)
    slot.outcome = 'stuck'
    run.emit(slot, { status: 'stuck', text: error.message })
  }
  await run.save()
}

/** What it was to run is not what it runs. */
async function lookAgain(
  { settings, work, stopping }: Execution,
  slot: MachineStep,
): Promise<void> {
  const machine =
    slot.machine && (await settings.fly.machine(work.app, slot.machine, stopping).catch(() => null))
  if (machine) slot.now = { instanceId: machine.instance_id, image: imageOf(machine) }
}

async function putBack(run: Execution, slot: MachineStep, former: PreviousVersion): Promise<void> {
  const { settings, work, stopping } = run
  const { fly } = settings
  const id = slot.machine ?? ''
  await using lease = await run.lease(slot, stopping)
  const signal = AbortSignal.any([stopping, lease.lost])
  let machine = await getMachine(fly, work.app, id, signal)
  if (isOurs(run, machine)) {
    // The number stays, as the mark of who was here last: a late, older deployment must not land after this one.
    const metadata = { ...former.config.metadata, tarmac_number: `${work.number}` }
    const config = { ...former.config, metadata }
    const body = { config, current_version: machine.instance_id, skip_launch: former.asleep }
    await run.recordIntent(slot, 'update')
    machine = await fly.updateMachine(work.app, id, body, lease.nonce, signal)
  } else if (machine.instance_id !== former.instanceId && !isPutBack(run, machine)) {
    if (numberOf(machine) <= work.number)
      throw failure(machine, `was changed by something else and now runs ${imageOf(machine)}`)
    slot.now = { instanceId: machine.instance_id, image: imageOf(machine) }
    slot.outcome = 'rolled_back'
    run.emit(slot, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
    return
  }
  if (slot.role === 'blue' && !former.cordoned) {
    await run.recordIntent(slot, 'uncordon')
    await fly.cordon(work.app, id, 'uncordon', lease.nonce, signal)
  }
  const { instance_id: instanceId } = machine
  slot.now = { instanceId, image: former.image }
  const { digest, running } = former
  // One more may be bad luck.
  const crashes = 1 + (instanceId === former.instanceId ? former.crashes : 0)
  const wanted = {
    app: work.app,
    machine: id,
    instanceId,
    digest,
    running,
    crashes,
    failedStarts: 2,
    nonce: lease.nonce,
  }
  await waitForVersion(fly, wanted, patienceMs(run), signal)
  if (former.healthy) await untilHealthy(fly, wanted, patienceMs(run), signal)
  slot.outcome = 'rolled_back'
  run.emit(slot, {
    status: 'rolled_back',
    after: former.image,
    text: `verified on version ${instanceId}`,
  })
}

/** More than on the way forward: there is nothing left to fall back on. */
const patienceMs = ({ waitMs }: Execution): number => 3 * waitMs

/** Put back by us, before a crash of the gateway. */
function isPutBack({ work }: Execution, machine: Machine): boolean {
  const { metadata } = configOf(machine)
  return (
    metadata?.['tarmac_number'] === `${work.number}` && metadata['tarmac_deployment'] !== work.id
  )
}

function recoveryCommand(
  { work }: Execution,
  { role, machine, name, former, now }: MachineStep,
): string {
  if (!former)
    return `machine ${machine ?? name} should be gone; run: fly machine destroy ${machine ?? name} --force --app ${work.app}`
  if (role === 'blue')
    return `machine ${machine} should run and be reachable as before; run: fly machine uncordon ${machine} --app ${work.app} && fly machine start ${machine} --app ${work.app}`
  return `machine ${machine} should run ${former.image}, last seen on ${now?.image ?? former.image}; run: fly machine update ${machine} --image ${former.image} --app ${work.app}`
}

function verdict(run: Execution, because: ProblemBody, stuck: string[]): Problem {
  const machines = machineFacts(run.rollout)
  const facts = { ...Problem.from(because).facts, machines, because: because.code }
  if (stuck.length > 0) {
    const detail = `${because.detail} ${stuck.length} of ${machines.length} machines could not be put back: ${stuck.join('; ')}`
    return new Problem('deploy-stuck', detail, { facts })
  }
  const back = machines.filter(({ outcome }) => outcome === 'rolled_back').length
  const removed = machines.filter(({ outcome }) => outcome === 'removed').length
  const told = [
    ...(back > 0
      ? [`${back} machine${back > 1 ? 's are' : ' is'} back on what ran before, and verified`]
      : []),
    ...(removed > 0 ? [`${removed} new machine${removed > 1 ? 's were' : ' was'} removed`] : []),
  ]
  const ends: ProblemCode[] = ['cancelled', 'superseded']
  const detail = `${because.detail}${told.length > 0 ? ` ${told.join('; ')}.` : ''}`
  return new Problem(ends.includes(because.code) ? because.code : 'deploy-failed', detail, {
    facts,
  })
}
