import { DeploymentOptions } from '#api/options.ts'
import { asProblem, Problem } from '#api/problem.ts'
import type { ReleasedAgain } from '#api/runtime/released-again.ts'
import type { NewCancelRequest } from '#api/deployment.ts'
import type { Principal } from '../../callers/principal.ts'
import type { ReleaseStore, StoredRelease } from '../../deployments/release-store.ts'
import type { Submissions } from '../submissions.ts'

export type ReleaseAgainDeps = {
  releases: Pick<ReleaseStore, 'find'>
  submissions: Pick<Submissions, 'deployExisting'>
  cancel: (id: string, request: NewCancelRequest) => Promise<unknown>
}
type Again = {
  targets: StoredRelease[]
  /** The options of the new deployment of a release. */
  optionsOf: (release: StoredRelease) => Partial<DeploymentOptions>
  /** Variables of the releases that the new ones leave out. */
  withoutEnv?: string[]
}

/**
 * Deploys the newest release of each target once more: the same image and config, with what has
 * changed since. A target with a deployment that has not ended gets none: its newest release may be
 * another one in a moment.
 */
export async function releaseAgain(
  caller: Principal,
  { targets, optionsOf, withoutEnv }: Again,
  deps: ReleaseAgainDeps,
): Promise<Pick<ReleasedAgain, 'deployments' | 'refused'>> {
  const deployments: ReleasedAgain['deployments'] = []
  const refused: ReleasedAgain['refused'] = []
  for (const release of targets) {
    const { owner } = release
    const options = DeploymentOptions.parse({ ...optionsOf(release), owner, lane: 'reject' })
    try {
      const id = await releaseOne(caller, release, { options, withoutEnv }, deps)
      deployments.push({ id, owner })
    } catch (error) {
      refused.push({ owner, problem: asProblem(error).body() })
    }
  }
  return { deployments, refused }
}

async function releaseOne(
  caller: Principal,
  { app, owner, number }: StoredRelease,
  { options, withoutEnv }: { options: DeploymentOptions; withoutEnv: string[] | undefined },
  { releases, submissions, cancel }: ReleaseAgainDeps,
): Promise<string> {
  const about = { app, options, idempotencyKey: null, ...(withoutEnv && { withoutEnv }) }
  const { id } = await submissions.deployExisting(caller, { release: number }, about)

  // Another deployment may have gone live between the look at the release and this one.
  const newest = await releases.find(app, owner)
  if (newest === null || newest.number === number || newest.deployment === id) return id
  const why = `release ${newest.number} is newer than release ${number}, which this deploys`
  await cancel(id, { by: 'gateway', why, abort: true })
  const detail = `Release ${newest.number} of ${app} went live in this moment. Send this again.`
  throw new Problem('lane-busy', detail, { facts: { deployment: newest.deployment } })
}
