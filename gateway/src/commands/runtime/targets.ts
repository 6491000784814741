import type { Deployer } from '../../deploy/deployer.ts'
import type { ReleaseStore, StoredRelease } from '../../deployments/release-store.ts'

type TargetDeps = {
  deployer: Pick<Deployer, 'machineOwners'>
  store: { releases: Pick<ReleaseStore, 'newest'> }
  signal: AbortSignal
}

/**
 * The newest release of each target that has machines: of the app itself, and of each owner.
 * `others`: how many machines no release of this gateway knows. `mounted`: the owners whose machines
 * have volumes.
 */
export async function targetsOf(
  app: string,
  { deployer, store, signal }: TargetDeps,
): Promise<{ targets: StoredRelease[]; others: number; mounted: Set<string | null> }> {
  const [machines, newest] = await Promise.all([
    deployer.machineOwners(app, signal),
    store.releases.newest(app),
  ])
  const owners = new Set(machines.map(({ owner }) => owner))
  const targets = newest.filter(({ owner }) => owners.has(owner))
  const known = new Set(targets.map(({ owner }) => owner))
  const others = machines.filter(({ owner }) => !known.has(owner)).length
  const mounted = machines.filter(({ isMounted }) => isMounted).map(({ owner }) => owner)
  return { targets, others, mounted: new Set(mounted) }
}
