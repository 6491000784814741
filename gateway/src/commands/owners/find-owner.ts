import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Owned, OwnerStore, Rest } from '../../deployments/owners/owner-store.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Place } from './on-fly.ts'

export type OwnerRelease = Awaited<ReturnType<OwnerStore['releases']>>[number]

/** An owner as the records know it. */
export type KnownOwner = Place & {
  release: OwnerRelease | null
  rest: Rest | null
  /** The deployments of its lane that have not ended, oldest first. */
  unfinished: Deployment[]
}

type FindDeps = Pick<DeploymentStore, 'owners' | 'ownerApps'>

/** Throws `owner-not-found` if the records know nothing of it. */
export async function findOwner(target: Owned, store: FindDeps): Promise<KnownOwner> {
  const known = await lookUpOwner(target, store)
  const { app, flyApp, release, rest, unfinished } = known
  if (release || rest || unfinished.length > 0 || flyApp !== app) return known
  throw noOwner(target)
}

/** The same, also of one that the records do not know. */
export async function lookUpOwner(
  { app, owner }: Owned,
  { owners, ownerApps }: FindDeps,
): Promise<KnownOwner> {
  const [releases, rest, unfinished] = await Promise.all([
    owners.releases(app),
    owners.restOf({ app, owner }),
    owners.unfinished({ app, owner }),
  ])
  const release = releases.find((each) => each.owner === owner) ?? null
  const flyApp = ownerApps.flyAppOf({ app, owner })
  return { app, owner, flyApp, release, rest, unfinished }
}

export const noOwner = ({ app, owner }: Owned) =>
  new Problem(
    'owner-not-found',
    `The app ${app.slice(0, 100)} has no owner ${owner.slice(0, 100)}. To list them: tarmac owners ${app.slice(0, 100)}`,
  )

/** Throws `app-busy` while a deployment changes the owner's machines. One that waits or builds does not. */
export async function refuseBusy(target: Owned, owners: OwnerStore): Promise<void> {
  const busy = (await owners.unfinished(target)).find(({ state }) => touchesMachines(state))
  if (busy) throw ownerBusy(target, busy)
}

export function ownerBusy({ app, owner }: Owned, { id }: Pick<Deployment, 'id'>): Problem {
  const detail = `Deployment ${id} changes the machines of ${owner} in ${app} now. Wait for its end, or cancel it: tarmac cancel ${id} --abort`
  return new Problem('app-busy', detail, { facts: { deployment: id } })
}
