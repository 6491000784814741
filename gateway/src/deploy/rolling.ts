import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { configOf, imageOf, type Machine, type MachineConfig } from '../fly/machine.ts'
import { MachineLease } from '../fly/machine-lease.ts'
import { isAway, statusOf } from '../fly/machines-api.ts'
import { reverted, settle, there, untilHealthy, type Wanted } from './gate.ts'
import { layOver, type Marks } from './lay-over.ts'
import { formerOf, refuseOlder, type Slot } from './rollout.ts'
import type { Run } from './run.ts'
import { ownMounts, withVolumes } from './volumes.ts'

const updateAttempts = 5
const againMs = 2000

/** One machine after the other: the next is touched when the one before is on the new version and passes its checks. */
export async function rolling(run: Run): Promise<void> {
  for (const slot of run.rollout.slots) await (slot.former ? updated(run, slot) : created(run, slot))
}

async function updated(run: Run, slot: Slot): Promise<void> {
  const { settings, work } = run
  const machine = slot.machine ?? ''
  const holder = { fly: settings.fly, app: work.app, machine, description: `tarmac deployment ${work.id}` }
  await using lease = await MachineLease.acquire(holder, work.signal)
  const after = await update(run, slot, lease)
  await arrived(run, slot, after, lease.signal, lease.nonce)
}

async function created(run: Run, slot: Slot): Promise<void> {
  const { settings, work, rollout } = run
  const { fly } = settings
  const asked = slot.outcome !== null // before a crash: the answer may be all that is missing
  slot.outcome = 'touched'
  await run.save()
  run.tell(slot, { status: 'creating', before: null })
  const config = newConfig(run, slot)
  if (config.mounts) config.mounts = await withVolumes(run, slot, config.mounts)
  const found =
    asked &&
    (await fly.machines(work.app, work.signal)).find(({ id, name }) => id === slot.machine || name === slot.name)
  if (asked && slot.machine && !found)
    throw new Problem('deploy-failed', `Machine ${slot.machine} is gone: something else destroyed it.`)
  const body = { name: slot.name, region: rollout.desired.region, config }
  await arrived(run, slot, found || (await fly.createMachine(work.app, body, work.signal)), work.signal)
}

/** The update has been taken: now it must come true. */
async function arrived(run: Run, slot: Slot, machine: Machine, signal: AbortSignal, nonce?: string): Promise<void> {
  slot.machine = machine.id
  slot.now = { instanceId: machine.instance_id, image: run.work.image.reference }
  await run.save()
  await pass(run, slot, signal, nonce)
}

/** Started on the right version and image, then healthy. A machine that is left asleep has only to be on the version. */
async function pass(run: Run, slot: Slot, signal: AbortSignal, nonce?: string): Promise<void> {
  const { fly, waitMs } = run.settings
  const wanted = { ...wantedOf(run, slot), ...(nonce && { nonce }) }
  const machine = await settle(fly, wanted, waitMs, signal)
  run.tell(slot, {
    status: 'started',
    after: imageOf(machine),
    text: `${machine.state} on version ${machine.instance_id}`,
  })
  if (!slot.launch) return
  run.tell(slot, { status: 'checking' })
  await untilHealthy(fly, wanted, waitMs, signal)
}

export function wantedOf({ work }: Run, slot: Slot): Wanted {
  const instanceId = slot.now?.instanceId ?? ''
  return { app: work.app, machine: slot.machine ?? '', instanceId, digest: work.image.digest, running: slot.launch }
}

async function update(run: Run, slot: Slot, lease: MachineLease): Promise<Machine> {
  const { settings, work } = run
  const { fly } = settings
  for (let attempt = 1; ; attempt++) {
    const machine = await there(fly, work.app, slot.machine ?? '', lease.signal)
    if (isOurs(run, machine)) return machine
    refuseOlder(work.number, machine)
    if (slot.now) throw reverted(machine)
    // Whoever changed it since the plan was made did so before we hold the lease: that is what we would go back to.
    if (machine.instance_id !== slot.former?.instanceId) slot.former = formerOf(machine)
    slot.outcome = 'touched'
    await run.save()
    if (attempt === 1) run.tell(slot, { status: 'updating', before: slot.former.image })
    const config = layOver(slot.former.config, groupConfig(run, slot), marks(run))
    const body = { config, current_version: machine.instance_id, skip_launch: !slot.launch }
    try {
      return await fly.updateMachine(work.app, machine.id, body, lease.nonce, lease.signal)
    } catch (error) {
      // The answer is lost, or the machine moved: look again before anything else.
      const again = isAway(error) || [409, 412].includes(statusOf(error) ?? 0)
      if (!again || attempt === updateAttempts) throw error
      await delay(againMs * Math.random(), undefined, { signal: lease.signal })
    }
  }
}

/** True when the machine carries this very deployment. */
export const isOurs = ({ work }: Run, machine: Machine): boolean =>
  configOf(machine).metadata?.['tarmac_deployment'] === work.id

function newConfig(run: Run, slot: Slot): MachineConfig {
  return { guest: run.rollout.desired.guest, ...layOver({}, groupConfig(run, slot), marks(run)) }
}

const groupConfig = ({ rollout, work }: Run, slot: Slot): MachineConfig =>
  ownMounts(rollout.desired.groups.find(({ name }) => name === slot.group)?.config ?? {}, work.options.owner)

const marks = ({ settings, work }: Run): Marks => ({
  image: work.image.reference,
  deployment: work.id,
  number: work.number,
  owner: work.options.owner,
  builder: settings.builder ?? null,
})
