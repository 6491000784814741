import type { Deployer } from '../../deploy/deployer.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { OwnerAppStore, OwnerTarget } from '../../deployments/owners/owner-app-store.ts'
import type { ReleaseStore, StoredRelease } from '../../deployments/release-store.ts'

type TargetDeps = {
  deployer: Pick<Deployer, 'machineOwners'>
  store: { releases: Pick<ReleaseStore, 'newest' | 'find'>; ownerApps: OwnerAppStore }
  signal: AbortSignal
}
type Targets = {
  /** The newest release of each target that has machines. */
  targets: StoredRelease[]
  /** How many machines no release of this gateway knows. */
  others: number
  /** The owners whose machines have volumes. */
  mounted: Set<string | null>
}

/** How many owners' apps are asked at once. */
const atOnce = 8

/** The targets of an app: itself, and each of its owners, wherever their machines are. */
export function targetsOf(app: string, deps: TargetDeps): Promise<Targets> {
  const own = deps.store.ownerApps.list(app).map(({ flyApp }) => flyApp)
  return targetsIn([app, ...own], () => deps.store.releases.newest(app), deps)
}

/** The targets whose machines are in one app on Fly. */
export async function targetsOn(
  { app, owner, flyApp }: OwnerTarget & { flyApp: string },
  deps: TargetDeps,
): Promise<Targets> {
  const { releases, ownerApps } = deps.store
  const newest = async () => {
    const all = owner === null ? await releases.newest(app) : [await releases.find(app, owner)]
    return all.filter((each) => each !== null).filter((each) => ownerApps.flyAppOf(each) === flyApp)
  }
  return targetsIn([flyApp], newest, deps)
}

async function targetsIn(
  flyApps: string[],
  newestReleases: () => Promise<StoredRelease[]>,
  { deployer, signal }: TargetDeps,
): Promise<Targets> {
  const machines: Awaited<ReturnType<Deployer['machineOwners']>> = []
  const looks = forEachLimit(flyApps, atOnce, async (flyApp) => {
    machines.push(...(await deployer.machineOwners(flyApp, signal)))
  })
  const [newest] = await Promise.all([newestReleases(), looks])
  const owners = new Set(machines.map(({ owner }) => owner))
  const targets = newest.filter(({ owner }) => owners.has(owner))
  const known = new Set(targets.map(({ owner }) => owner))
  const others = machines.filter(({ owner }) => !known.has(owner)).length
  const mounted = machines.filter(({ isMounted }) => isMounted).map(({ owner }) => owner)
  return { targets, others, mounted: new Set(mounted) }
}
