import { noneIfGone } from '#fly/apps/none-if-gone.ts'
import type { Volume } from '#fly/answers.ts'
import { configOf, type Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Owned } from '../../deployments/owners/owner-store.ts'
import { ownerIn, volumeMark } from '../../deployments/owners/owner-marks.ts'

/** Where an owner's machines are: `flyApp` is `app` itself, or the owner's own app. */
export type Place = Owned & { flyApp: string }

const hasOwnApp = ({ app, flyApp }: Place) => flyApp !== app

/** The machines of an owner, by name. */
export async function machinesOf(
  place: Place,
  fly: Pick<MachinesApi, 'machines'>,
  signal: AbortSignal,
): Promise<Machine[]> {
  const all = await fly.machines(place.flyApp, signal).catch(noneIfGone)
  const isOwn = (machine: Machine) => ownerIn(configOf(machine).metadata) === place.owner
  return all.filter(isOwn).toSorted((a, b) => a.name.localeCompare(b.name, 'en'))
}

/** All machines that end with an owner: also those of an interrupted release command. */
export async function machinesToDestroy(
  place: Place,
  fly: Pick<MachinesApi, 'machines'>,
  signal: AbortSignal,
): Promise<Machine[]> {
  const all = await fly.machines(place.flyApp, signal).catch(noneIfGone)
  const isOwn = (machine: Machine) => configOf(machine).metadata?.['tarmac_owner'] === place.owner
  return hasOwnApp(place) ? all : all.filter(isOwn)
}

/** The volumes of an owner. Fly lists volumes for a day after their removal. */
export async function volumesOf(
  place: Place,
  fly: Pick<MachinesApi, 'volumes'>,
  signal: AbortSignal,
): Promise<Volume[]> {
  const all = (await fly.volumes(place.flyApp, signal).catch(noneIfGone)).filter(
    ({ state }) => !state?.includes('destroy'),
  )
  const mark = volumeMark(place.owner)
  return hasOwnApp(place) ? all : all.filter(({ name }) => name.endsWith(mark))
}
