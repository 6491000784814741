import type { Preview } from '#api/previews/preview.ts'
import { deleteUntilGone } from '#fly/apps/delete-until-gone.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { untilEnd, type LogStore } from '../deployments/follow.ts'
import type { DeploymentStore } from '../deployments/store.ts'

export type RemoveDeps = {
  store: LogStore & Pick<DeploymentStore, 'releases'>
  cancel: (...request: Parameters<DeploymentStore['requestCancel']>) => Promise<unknown>
  fly: Pick<MachinesApi, 'app' | 'deleteApp'>
  deployer: Pick<Deployer, 'forget'>
}

/** How long the deployment may take to end before its app is deleted under it. */
const graceMs = 3000

/**
 * Ends the deployment of a preview, so that nothing makes its app again, and deletes that app with
 * all that is in it. Throws until Fly has it no more.
 */
export async function removePreview(
  { id, flyApp, deployment, ending }: Preview,
  { store, cancel, fly, deployer }: RemoveDeps,
  signal: AbortSignal,
): Promise<void> {
  const why = `The preview ${id} ends: ${ending?.why ?? 'destroyed'}`
  await cancel(deployment, { by: ending?.by ?? 'gateway', why, abort: true })
  const ended = untilEnd(store, deployment, signal)
  // After a crash it waits until others have ended, and its machine runs meanwhile.
  if (!(await within(ended, graceMs))) await fly.deleteApp(flyApp, signal)
  await ended
  signal.throwIfAborted()

  await deleteUntilGone(flyApp, fly, signal) // the deployment may have made it again
  deployer.forget(flyApp)
  await store.releases.forget(flyApp)
}

/** Whether it resolves within this time. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(resolve, ms, false)
  return Promise.race([promise.then(() => true), late]).finally(() => clearTimeout(timer))
}
