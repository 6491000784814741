import { statusOf } from '#fly/fly-calls.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { isManaged, ownerOf } from '../../deploy/managed.ts'
import type { ReleaseStore, StoredRelease } from '../../deployments/release-store.ts'

/**
 * The newest release of each target that has machines: of the app itself, and of each owner.
 * `others`: how many machines no release of this gateway knows.
 */
export async function targetsOf(
  app: string,
  { fly, releases }: { fly: Pick<MachinesApi, 'machines'>; releases: Pick<ReleaseStore, 'newest'> },
  signal: AbortSignal,
): Promise<{ targets: StoredRelease[]; others: number }> {
  const [all, newest] = await Promise.all([
    fly.machines(app, signal).catch(noneYet),
    releases.newest(app),
  ])
  const machines = all.filter(isManaged)
  const owners = new Set(machines.map(ownerOf))
  const targets = newest.filter(({ owner }) => owners.has(owner))
  const known = new Set(targets.map(({ owner }) => owner))
  return { targets, others: machines.filter((machine) => !known.has(ownerOf(machine))).length }
}

/** The app is not there, or not in reach. */
function noneYet(error: unknown): never[] {
  if (![403, 404].includes(statusOf(error) ?? 0)) throw error
  return []
}
