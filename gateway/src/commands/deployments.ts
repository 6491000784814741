import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { assertLogKept } from '../deployments/follow.ts'
import type { DeploymentStore } from '../deployments/store.ts'

/** Finds a deployment. Throws `deployment-not-found`. */
export async function findDeployment(
  store: Pick<DeploymentStore, 'find'>,
  id: string,
): Promise<Deployment> {
  const deployment = await store.find(id)
  if (!deployment) throw noDeployment(id)
  return deployment
}

export const noDeployment = (id: string) =>
  new Problem('deployment-not-found', `There is no deployment ${id.slice(0, 100)}.`)

/** Finds a deployment whose log is kept. Throws `log-dropped` when it is not. */
export async function findLog(
  store: Pick<DeploymentStore, 'find'>,
  id: string,
): Promise<Deployment> {
  const deployment = await findDeployment(store, id)
  assertLogKept(deployment)
  return deployment
}
