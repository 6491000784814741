import type { DeploymentStore } from '../deployments/store.ts'

/**
 * Whether this gateway made the deployment. An old record may have been deleted, so a missing
 * number below the newest counts. A number of another deployment, or above the newest, does not.
 */
export async function recordKnows(
  store: Pick<DeploymentStore, 'find' | 'list'>,
  app: string,
  { id, number }: { id: string; number: number },
): Promise<boolean> {
  if (await store.find(id)) return true
  const newest = async (before: number | null) => {
    const page = await store.list(app, { limit: 1, before: before === null ? null : `${before}` })
    return page.deployments[0]?.number ?? 0
  }
  return (await newest(number + 1)) !== number && (await newest(null)) > number
}
