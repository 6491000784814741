import { Problem } from '#api/problem.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { OwnerApp } from '../deployments/owners/owner-app-store.ts'
import type { Sources } from '../sources/sources.ts'
import type { DeploymentStore } from '../deployments/store.ts'

/** `confirm`: the app's name once more. `foreign`: also an app that the gateway did not create. */
export type DeleteRequest = { confirm: string | null; foreign: boolean }
export type DeleteDeps = {
  store: Pick<
    DeploymentStore,
    'unfinished' | 'releases' | 'ownerApps' | 'routers' | 'sentTrees' | 'stepTimes'
  >
  sources: Pick<Sources, 'forget'>
  fly: MachinesApi
  deployer: Deployer
}

/** How many owners' apps are deleted at once. */
const atOnce = 8

/**
 * Deletes an app, the apps of its owners and its router, with their machines on Fly, and their
 * releases and build secrets here. Keeps the deployment records and logs. Sent again after a failure,
 * it goes on. Throws `option-invalid` without the confirmation, `app-busy`, `app-not-found`, or
 * `app-not-managed` if the gateway did not create the app and `foreign` is false.
 */
export async function deleteApp(
  app: string,
  { confirm, foreign }: DeleteRequest,
  deps: DeleteDeps,
  signal: AbortSignal,
): Promise<void> {
  const { store, fly } = deps
  refuseOwnersApp(app, store.ownerApps)
  const owners = store.ownerApps.list(app)
  const router = store.routers.find(app)?.router
  if (confirm !== app) throw unconfirmed(app, owners)
  await refuseBusy(app, store)
  if (router !== undefined) await refuseBusy(router, store)

  const found = await fly.app(app, signal)
  const made = await store.releases.isOwnApp(app, found?.id ?? null)
  if (!found && !made) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)
  if (!made && !foreign)
    throw new Problem(
      'app-not-managed',
      `The gateway did not create the app ${app}. To delete it anyway, send foreign=true.`,
    )

  await forEachLimit(owners, atOnce, async ({ owner, flyApp }) => {
    await deleteOne(flyApp, deps, signal)
    store.ownerApps.forget({ app, owner })
  })
  if (router !== undefined) {
    await deleteOne(router, deps, signal)
    store.routers.remove(app)
  }
  store.sentTrees.forget(app)
  store.stepTimes.forget(app)
  await deps.sources.forget(app)
  await deleteOne(app, deps, signal)
  store.ownerApps.forget({ app, owner: null })
}

async function deleteOne(
  flyApp: string,
  { store, fly, deployer }: DeleteDeps,
  signal: AbortSignal,
): Promise<void> {
  await fly.deleteApp(flyApp, signal)
  deployer.forget(flyApp)
  await store.releases.forget(flyApp)
}

async function refuseBusy(app: string, store: DeleteDeps['store']): Promise<void> {
  const busy = await store.unfinished(app)
  if (!busy) return
  const detail = `Deployment ${busy.id} of ${app} is ${busy.state}. Cancel it, or wait for its end.`
  throw new Problem('app-busy', detail, { facts: { deployment: busy.id } })
}

function refuseOwnersApp(flyApp: string, ownerApps: DeleteDeps['store']['ownerApps']): void {
  const target = ownerApps.targetOf(flyApp)
  if (!target) return
  const { app, owner } = target
  const detail = `${flyApp} is the app of owner ${owner} of ${app}. To remove it: tarmac owner destroy ${app} ${owner}`
  throw new Problem('request-invalid', detail, { facts: { app, owner } })
}

function unconfirmed(app: string, owners: OwnerApp[]): Problem {
  const more =
    owners.length === 0
      ? ''
      : ` and the ${owners.length === 1 ? 'app of its owner' : `${owners.length} apps of its owners`}`
  return new Problem(
    'option-invalid',
    `To delete the app${more} with all machines and volumes, send confirm=${app}.`,
  )
}
