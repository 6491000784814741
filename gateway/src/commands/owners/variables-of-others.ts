import type { Deployment } from '#api/deployment.ts'
import { findRelease } from '../../deployments/release-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'

/** How many releases are asked for where they took their config from. */
const most = 100

/**
 * The names of the variables that a deployment's owner was given, by it or by those that its config
 * comes from: they are that owner's, and no other target gets them. Empty for a deployment of `target`
 * itself, or of an app as a whole.
 */
export async function variablesOfOthers(
  deployment: Deployment | null,
  target: { app: string; owner: string | null },
  store: Pick<DeploymentStore, 'find' | 'releases'>,
): Promise<string[]> {
  const names = new Set<string>()
  let at = deployment
  for (let left = most; at && left > 0; left--) {
    const { app, owner, options, from }: Deployment = at
    if (owner === null || (app === target.app && owner === target.owner)) break
    for (const name of Object.keys(options.env)) names.add(name)
    if (!from) break
    const release = await findRelease(store.releases, from.app, from.owner, from.release)
    at = await store.find(release.deployment)
  }
  return [...names]
}
