import type { PowerAction } from '#api/machines/machine-facts.ts'
import { configOf, hasFinished, isScheduled, type Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Owned } from '../../deployments/owners/owner-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { Problem } from '#api/problem.ts'
import { powerActions } from '../machines/power-actions.ts'
import { findOwner, refuseBusy } from './find-owner.ts'
import { machinesOf } from './on-fly.ts'

export type ChangeDeps = { fly: MachinesApi; store: Pick<DeploymentStore, 'owners' | 'ownerApps'> }

type Call = { by: string; signal: AbortSignal }

const rests = {
  stop: { state: 'stopped' },
  suspend: { state: 'suspended' },
  start: null,
} as const

/** Stops, suspends or starts the machines of an owner. See `OwnerCommands.change`. */
export async function changeOwner(
  target: Owned,
  action: PowerAction,
  { by, signal }: Call,
  deps: ChangeDeps,
): Promise<void> {
  const { owners } = deps.store
  await owners.destroys.whileNone(target, (destroyed) =>
    changeMachines(target, action, { by, signal: AbortSignal.any([signal, destroyed]) }, deps),
  )
}

async function changeMachines(
  target: Owned,
  action: PowerAction,
  { by, signal }: Call,
  { fly, store: { owners, ownerApps } }: ChangeDeps,
): Promise<void> {
  const known = await findOwner(target, { owners, ownerApps })
  const { app, owner, flyApp } = known
  await refuseBusy(target, owners)
  const machines = await machinesOf(known, fly, signal)
  if (machines.length === 0) throw noMachines(target)

  for (const machine of machines) {
    const ref = { app: flyApp, id: machine.id }
    const description = `tarmac: ${action} of ${owner} in ${app} by ${by}`
    await using lease = await fly.lease(ref, { description }, signal)
    await refuseBusy(target, owners) // it may have begun while another program held the lease
    const logs = `fly logs --app ${flyApp} --machine ${machine.id}`
    const of = { code: 'owner-not-ready', logs } as const
    const powered = { fly, lease, of, signal: AbortSignal.any([signal, lease.lost]) }
    if (action === 'start' && restsByItself(machine)) await lease.uncordon(powered.signal)
    else await powerActions[action](powered)
  }
  signal.throwIfAborted()
  const rest = rests[action]
  await owners.setRest(target, rest && { ...rest, by })
}

/** A job that has ended, one that Fly starts at its times, or a standby for a machine that fails. */
function restsByItself(machine: Machine): boolean {
  const config = configOf(machine)
  return hasFinished(machine) || isScheduled(config) || (config.standbys ?? []).length > 0
}

function noMachines({ app, owner }: Owned): Problem {
  const detail = `${owner} has no machines in ${app}. To make one, deploy: tarmac owner move ${app} ${owner}`
  return new Problem('owner-not-ready', detail)
}
