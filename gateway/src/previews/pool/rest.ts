import { crashPoint } from '#api/flow/crash-point.ts'
import type { PoolRest } from '#api/previews/pool.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { powerActions } from '../../commands/machines/power-actions.ts'
import type { PoolEntry } from '../../deployments/previews/pool-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

export type RestDeps = { fly: MachinesApi; store: Pick<DeploymentStore, 'pools'> }

/** For the calls to Fly of one entry. */
const callMs = 240_000
/** Fly suspends no larger machine. Source: fly.io/docs/reference/suspend-resume. */
const suspendMb = 2048

/** Suspends or stops the machines of an entry that is ready. Then a request can take it. */
export async function restEntry(
  { id, flyApp }: PoolEntry,
  rest: PoolRest,
  { fly, store: { pools } }: RestDeps,
  stopping: AbortSignal,
): Promise<void> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(callMs)])
  const machines = await fly.machines(flyApp, signal)
  const of = { code: 'preview-not-ready', logs: 'tarmac pool ls' } as const
  const canSuspend = rest === 'suspended' && machines.every(isSuspendable)
  for (const machine of machines) {
    const description = `tarmac: rest of ${id} in its pool`
    await using lease = await fly.lease({ app: flyApp, id: machine.id }, { description }, signal)
    const action = canSuspend ? powerActions.suspend : powerActions.stop
    await action({ fly, lease, of, signal: AbortSignal.any([signal, lease.lost]) })
  }
  crashPoint('entry-rested')
  if (machines.length === 0) await pools.drop(id)
  else await pools.rested(id, canSuspend ? 'suspended' : 'stopped')
}

/** Fly's proxy may have stopped it meanwhile, because it was idle. */
const isSuspendable = (machine: Machine): boolean =>
  machine.state !== 'stopped' && Number(configOf(machine).guest?.['memory_mb'] ?? 0) <= suspendMb
