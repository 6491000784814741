import { Problem, type ProblemBody, type ProblemCode } from '#api/problem.ts'
import { configOf, imageOf, type Machine } from '../fly/machine.ts'
import { MachineLease } from '../fly/machine-lease.ts'
import { failure, persist, settle, there, untilHealthy } from './gate.ts'
import { isOurs } from './rolling.ts'
import { machineFacts, type Former, type Slot } from './rollout.ts'
import type { Run } from './run.ts'

const goneMs = 60_000

/** Puts every touched machine back on what it ran before, last touched first, and throws what the deployment ends with. */
export async function rollBack(run: Run, because: ProblemBody): Promise<never> {
  run.rollout.because ??= because
  await run.save()
  const signal = run.stopSignal()
  const stuck: string[] = []
  for (const slot of run.rollout.slots.toReversed()) {
    if (slot.outcome === null || slot.outcome === 'rolled_back' || slot.outcome === 'removed') continue
    run.tell(slot, { status: 'rolling_back', ...(slot.former && { after: slot.former.image }) })
    try {
      const { former } = slot
      const back = () => (former ? putBack(run, slot, former, signal) : remove(run, slot, signal))
      await persist(run.settings.waitMs, signal, back)
    } catch (error) {
      signal.throwIfAborted()
      const why = error instanceof Problem ? error.message : 'something went wrong inside the gateway'
      stuck.push(`${wayOut(run, slot)} (${why})`)
      slot.outcome = 'stuck'
      run.tell(slot, { status: 'stuck', text: why })
      if (!(error instanceof Problem)) throw error
    }
    await run.save()
  }
  throw verdict(run, run.rollout.because, stuck)
}

async function putBack(run: Run, slot: Slot, former: Former, signal: AbortSignal): Promise<void> {
  const { settings, work } = run
  const { fly, waitMs } = settings
  const id = slot.machine ?? ''
  const holder = { fly, app: work.app, machine: id, description: `tarmac deployment ${work.id}, putting back` }
  await using lease = await MachineLease.acquire(holder, signal)
  let machine = await there(fly, work.app, id, lease.signal)
  if (isOurs(run, machine)) {
    // The number stays, as the mark of who was here last: a late, older deployment must not land after this one.
    const metadata = { ...former.config.metadata, tarmac_number: `${work.number}` }
    const config = { ...former.config, metadata }
    const body = { config, current_version: machine.instance_id, skip_launch: !former.running }
    machine = await fly.updateMachine(work.app, id, body, lease.nonce, lease.signal)
  } else if (machine.instance_id !== former.instanceId && !isPutBack(run, machine)) {
    if (numberOf(machine) <= work.number)
      throw failure(machine, `was changed by something else and now runs ${imageOf(machine)}`)
    slot.now = { instanceId: machine.instance_id, image: imageOf(machine) }
    slot.outcome = 'rolled_back'
    run.tell(slot, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
    return
  }
  slot.now = { instanceId: machine.instance_id, image: former.image }
  const { instanceId } = slot.now
  const wanted = {
    app: work.app,
    machine: id,
    instanceId,
    digest: former.digest,
    running: former.running,
    nonce: lease.nonce,
  }
  await settle(fly, wanted, waitMs, lease.signal)
  if (former.healthy) await untilHealthy(fly, wanted, waitMs, lease.signal)
  slot.outcome = 'rolled_back'
  run.tell(slot, { status: 'rolled_back', after: former.image, text: `verified on version ${instanceId}` })
}

/** Put back by us, before a crash of the gateway. */
function isPutBack({ work }: Run, machine: Machine): boolean {
  const { metadata } = configOf(machine)
  return metadata?.['tarmac_number'] === `${work.number}` && metadata['tarmac_deployment'] !== work.id
}

const numberOf = (machine: Machine): number => Number(configOf(machine).metadata?.['tarmac_number'] ?? 0)

async function remove(run: Run, slot: Slot, signal: AbortSignal): Promise<void> {
  const { fly } = run.settings
  const { work } = run
  const { app } = work
  const made = (await fly.machines(app, signal)).find(({ id, name }) => id === slot.machine || name === slot.name)
  if (made && numberOf(made) > work.number) {
    slot.now = { instanceId: made.instance_id, image: imageOf(made) }
    slot.outcome = 'rolled_back'
    return run.tell(slot, { status: 'rolled_back', text: 'a newer deployment has taken it over' })
  }
  if (made) {
    slot.machine = made.id
    await fly.deleteMachine(app, made.id, undefined, signal)
    if (!(await fly.wait(app, made.id, { state: 'destroyed', withinMs: goneMs }, signal)))
      throw failure(made, `was not gone ${goneMs / 1000} s after it was destroyed`)
  }
  slot.now = null
  slot.outcome = 'removed'
  run.tell(slot, { status: 'removed' })
}

function wayOut({ work }: Run, slot: Slot): string {
  const { machine, former, now } = slot
  if (!former)
    return `machine ${machine ?? slot.name} should be gone; run: fly machine destroy ${machine ?? slot.name} --force --app ${work.app}`
  return `machine ${machine} should run ${former.image}, last seen on ${now?.image ?? former.image}; run: fly machine update ${machine} --image ${former.image} --app ${work.app}`
}

function verdict(run: Run, because: ProblemBody, stuck: string[]): Problem {
  const machines = machineFacts(run.rollout)
  const facts = { machines, because: because.code }
  if (stuck.length > 0) {
    const detail = `${because.detail} ${stuck.length} of ${machines.length} machines could not be put back: ${stuck.join('; ')}`
    return new Problem('deploy-stuck', detail, { facts })
  }
  const back = machines.filter(({ outcome }) => outcome === 'rolled_back').length
  const removed = machines.filter(({ outcome }) => outcome === 'removed').length
  const told = [
    ...(back > 0 ? [`${back} machine${back > 1 ? 's are' : ' is'} back on what ran before, and verified`] : []),
    ...(removed > 0 ? [`${removed} new machine${removed > 1 ? 's were' : ' was'} removed`] : []),
  ]
  const ends: ProblemCode[] = ['cancelled', 'superseded']
  const detail = `${because.detail}${told.length > 0 ? ` ${told.join('; ')}.` : ''}`
  return new Problem(ends.includes(because.code) ? because.code : 'deploy-failed', detail, { facts })
}
