import { configOf, type Machine } from '#fly/machine.ts'
import { isManaged, isTemporary, ownerOf } from '../../deploy/managed.ts'
import type { Routes } from './routes.ts'

/** The machines of each owner that take requests. One out of Fly's proxy counts if its owner has no other. */
export function machinesOfOwners(machines: Machine[]): Routes {
  const serving = machines.filter(
    (machine) => isManaged(machine) && !isTemporary(machine) && isServing(machine),
  )
  const routes: Routes = new Map()
  for (const [owner, own] of Map.groupBy(serving, ownerOf)) {
    if (owner === null) continue
    const open = own.filter(({ cordoned }) => !cordoned)
    routes.set(
      owner,
      (open.length > 0 ? open : own).map(({ id }) => id),
    )
  }
  return routes
}

const isServing = (machine: Machine): boolean =>
  (configOf(machine).services ?? []).length > 0 &&
  machine.state !== 'destroying' &&
  machine.state !== 'destroyed'
