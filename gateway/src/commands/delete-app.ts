import { Problem } from '#api/problem.ts'
import type { Deployer } from '../deploy/deployer.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '#fly/machines-api.ts'

/**
 * Deletes an app and its machines on Fly, and its releases and build secrets here. Keeps its
 * deployment records and logs. Throws `app-busy`, `app-not-found`, or `app-not-managed` if the gateway
 * did not create the app and `foreign` is false.
 */
export async function deleteApp(
  app: string,
  foreign: boolean,
  {
    store,
    fly,
    deployer,
  }: {
    store: Pick<DeploymentStore, 'unfinished' | 'releases'>
    fly: MachinesApi
    deployer: Deployer
  },
  signal: AbortSignal,
): Promise<void> {
  const busy = await store.unfinished(app)
  if (busy)
    throw new Problem(
      'app-busy',
      `Deployment ${busy.id} of ${app} is ${busy.state}. Cancel it, or wait for its end.`,
      { facts: { deployment: busy.id } },
    )

  const found = await fly.app(app, signal)
  const made = await store.releases.isOwnApp(app, found?.id ?? null)
  if (!found && !made) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)
  if (!made && !foreign)
    throw new Problem(
      'app-not-managed',
      `The gateway did not create the app ${app}. To delete it anyway, send foreign=true.`,
    )

  await fly.deleteApp(app, signal)
  deployer.forget(app)
  await store.releases.forget(app)
}
