import type { Owner } from '#api/owners/owner.ts'
import type { PriceTable } from '#api/status/prices.ts'
import { configOf, imageOf, type Machine, stoppedUnasked } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { readDesired } from '../../deploy/config/read-desired.ts'
import type { Owned } from '../../deployments/owners/owner-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { machineView } from '../machines/machine-view.ts'
import { findOwner, type KnownOwner } from './find-owner.ts'
import { machinesOf, volumesOf } from './on-fly.ts'
import { hasCrashed, type SeenMachine, summaryOf } from './owner-list.ts'
import { ownerState } from './owner-state.ts'

export type ShowDeps = {
  store: Pick<DeploymentStore, 'owners' | 'ownerApps' | 'releases' | 'find' | 'list'>
  fly: Pick<MachinesApi, 'machines' | 'volumes'>
  prices: PriceTable | null
}

/** All facts of an owner. Throws `owner-not-found`. */
export async function showOwner(
  target: Owned,
  { store, fly, prices }: ShowDeps,
  signal: AbortSignal,
): Promise<Owner> {
  const known = await findOwner(target, store)
  const [machines, volumes, env, lastDeployment] = await Promise.all([
    machinesOf(known, fly, signal),
    volumesOf(known, fly, signal),
    envOf(known, store),
    lastDeploymentOf(target, store),
  ])
  const { release, rest, unfinished } = known
  const state = ownerState({
    machines: machines.map((machine) => machine.state),
    rest,
    hasCrashed: hasCrashed(release) || machines.some(stoppedUnasked),
    isDeploying: unfinished.some(({ state }) => release === null || touchesMachines(state)),
  })
  const summary = await summaryOf(
    { ...known, state, machines: machines.map(overviewOf) },
    { store, prices },
  )
  return {
    ...summary,
    currency: prices?.currency ?? null,
    machines: machines.map((machine) => machineView(machine, known.flyApp)),
    volumes: volumes.map(({ id, name, region, size_gb: sizeGb, attached_machine_id: machine }) => ({
      id,
      name,
      region,
      sizeGb: sizeGb ?? null,
      machine: machine ?? null,
    })),
    env,
    lastDeployment,
    changedBy: rest && { by: rest.by, at: rest.at },
  }
}

/** As Fly's list of all machines shows it. */
function overviewOf(machine: Machine): SeenMachine {
  const { state, region, events = [] } = machine
  const { guest } = configOf(machine)
  const changed = Math.max(0, ...events.map(({ timestamp }) => timestamp))
  return {
    state,
    region,
    updated_at: changed > 0 ? new Date(changed).toISOString() : null,
    config: { image: imageOf(machine), ...(guest && { guest }) },
  }
}

/** The names alone: a value may be private. */
async function envOf(
  { app, owner, release }: KnownOwner,
  { releases }: Pick<DeploymentStore, 'releases'>,
): Promise<string[]> {
  const stored = release && (await releases.find(app, owner, release.number))
  if (!stored) return []
  const { groups } = readDesired(stored.desired)
  return [...new Set(groups.flatMap(({ config }) => Object.keys(config.env ?? {})))].toSorted()
}

async function lastDeploymentOf(
  { app, owner }: Owned,
  store: Pick<DeploymentStore, 'list'>,
): Promise<Owner['lastDeployment']> {
  const isSeen = (target: { owner?: string | null | undefined }) => target.owner === owner
  const [last] = (await store.list(app, { limit: 1, before: null, isSeen })).deployments
  if (!last) return null
  const { id, number, state, createdAt, problem } = last
  return { id, number, state, createdAt, problem }
}
