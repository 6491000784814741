import type { DestroyedOwner, VolumesEnd } from '#api/owners/owner.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { retry } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import { deleteUntilGone } from '#fly/apps/delete-until-gone.ts'
import type { Volume } from '#fly/answers.ts'
import { statusOf } from '#fly/fly-calls.ts'
import type { Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Deployer } from '../../deploy/deployer.ts'
import { untilEnd } from '../../deployments/follow.ts'
import type { Owned } from '../../deployments/owners/owner-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { type KnownOwner, lookUpOwner, noOwner, ownerBusy } from './find-owner.ts'
import { machinesToDestroy, type Place, volumesOf } from './on-fly.ts'

export type DestroyDeps = {
  fly: MachinesApi
  store: Pick<
    DeploymentStore,
    'owners' | 'ownerApps' | 'releases' | 'find' | 'eventsAfter' | 'changed'
  >
  deployer: Pick<Deployer, 'forget'>
  runner: { cancel: (...request: Parameters<DeploymentStore['requestCancel']>) => Promise<unknown> }
}

type Call = { by: string; signal: AbortSignal }

/** How long a cancelled deployment may take to end, and a destroyed machine to be gone. */
const [cancelMs, goneMs] = [60_000, 60_000]
/** Fly may count a volume as attached for a moment after its machine is gone. */
const detachMs = 30_000

/**
 * Destroys an owner: see `OwnerCommands.destroy`. The records forget it last, so that the same call
 * after a crash goes on where this one was.
 */
export async function destroyOwner(
  target: Owned,
  end: VolumesEnd,
  call: Call,
  deps: DestroyDeps,
): Promise<DestroyedOwner> {
  return deps.store.owners.destroys.run(target, () => destroyNow(target, end, call, deps))
}

async function destroyNow(
  target: Owned,
  asked: VolumesEnd,
  call: Call,
  deps: DestroyDeps,
): Promise<DestroyedOwner> {
  const { store, fly, deployer } = deps
  const { by, signal } = call
  const known = await lookUpOwner(target, store)
  await emptyLane(known, call, deps)
  const { app, owner, flyApp, release, rest } = known
  const [machines, volumes] = await Promise.all([
    machinesToDestroy(known, fly, signal),
    volumesOf(known, fly, signal),
  ])
  const hasOwnApp = flyApp !== app
  if (!release && !rest && !hasOwnApp && machines.length + volumes.length === 0)
    throw noOwner(target)
  // Without release and volumes nothing of it could be used again.
  const end = release || volumes.length > 0 ? asked : 'delete'

  const isAppGone = end === 'delete' && hasOwnApp
  if (isAppGone) {
    await deleteUntilGone(flyApp, fly, signal)
    deployer.forget(flyApp)
    await store.releases.forget(flyApp)
  } else {
    for (const machine of machines) await destroy(known, machine, call, fly)
  }
  crashPoint('owner-machines-gone')
  if (end === 'delete' && !isAppGone)
    for (const volume of volumes) await remove(known, volume, call, fly)
  if (end === 'delete') await store.owners.forget(target, release?.number ?? 0)
  else await store.owners.setRest(target, { state: 'destroyed', by })
  const ids = volumes.map(({ id }) => id)
  return {
    app,
    owner,
    flyApp: isAppGone ? flyApp : null,
    machines: machines.map(({ id }) => id),
    volumes: end === 'delete' ? { deleted: ids, kept: [] } : { deleted: [], kept: ids },
  }
}

/** Cancels what has changed no machine. Throws `app-busy` for what has. */
async function emptyLane(
  { unfinished, ...target }: KnownOwner,
  { by, signal }: Call,
  { runner, store }: DestroyDeps,
): Promise<void> {
  const busy = unfinished.find(({ state }) => touchesMachines(state))
  if (busy) throw ownerBusy(target, busy)
  const why = `The owner ${target.owner} is destroyed.`
  for (const { id } of unfinished.toReversed())
    await runner.cancel(id, { by, why, abort: false }).catch((error: unknown) => {
      throw error instanceof Problem && error.code === 'cancel-too-late'
        ? ownerBusy(target, { id })
        : error
    })
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(cancelMs)])
  for (const { id } of unfinished) {
    await untilEnd(store, id, waiting)
    if (waiting.aborted) throw ownerBusy(target, { id })
  }
}

async function destroy(
  { app, owner, flyApp }: Place,
  { id }: Machine,
  { by, signal }: Call,
  fly: MachinesApi,
): Promise<void> {
  const ref = { app: flyApp, id }
  const description = `tarmac: destroys ${owner} in ${app} for ${by}`
  await using lease = await fly.lease(ref, { description }, signal)
  await lease.destroy(AbortSignal.any([signal, lease.lost]))
  if (await fly.wait(ref, { state: 'destroyed', withinMs: goneMs }, signal)) return
  const detail = `Machine ${id} of ${flyApp} is not gone ${goneMs / 1000} s after it was destroyed. Send the same again.`
  throw new Problem('time-limit', detail, { facts: { machine: id } })
}

async function remove(
  { flyApp }: Place,
  { id }: Volume,
  { signal }: Call,
  fly: MachinesApi,
): Promise<void> {
  const policy = { isRetryable: isAttached, pauseMs: () => 1000, forMs: detachMs }
  await retry(() => fly.deleteVolume(flyApp, id, signal), policy, signal)
}

const isAttached = (error: unknown): boolean => statusOf(error) === 412
