import type { Deployment } from '#api/deployment.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { ReleaseStore } from '../deployments/release-store.ts'
import type { Principal } from '../callers/principal.ts'
import { previousRelease } from './releases.ts'
import type { Submissions } from './submissions.ts'

export type Rollback = {
  app: string
  /** The release to deploy. Null: the one before the newest. */
  release: number | null
  options: DeploymentOptions
  idempotencyKey: string | null
}

/** Deploys an earlier release of the target again: its image, config and environment. */
export async function rollback(
  caller: Principal,
  { app, release, options: ownOptions, idempotencyKey }: Rollback,
  {
    releases,
    submissions,
  }: {
    releases: Pick<ReleaseStore, 'find' | 'list'>
    submissions: Pick<Submissions, 'deployExisting'>
  },
): Promise<Deployment> {
  const options = { ...ownOptions, trigger: ownOptions.trigger ?? 'rollback' }
  const { number } = await previousRelease(releases, app, options.owner, release)
  const newest = await releases.find(app, options.owner)
  const requestBody = { rollback: release, options }
  return submissions.deployExisting(
    caller,
    { release: number },
    {
      app,
      options,
      idempotencyKey,
      requestBody,
      rollback: { from: newest?.number ?? null, to: number },
    },
  )
}
