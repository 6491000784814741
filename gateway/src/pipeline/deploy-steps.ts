import type { SecretVersion } from '#api/release.ts'
import { resolveDesired } from '../deploy/config/resolve-desired.ts'
import { checkPublicIps } from '../deploy/public-ips.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { changedSecrets } from './changed-secrets.ts'
import { ensureApp, type EnsureAppDeps } from './ensure-app.ts'
import { recordKnows } from './record-knows.ts'
import type { DeployInput, Steps } from './steps.ts'

type DeployDeps = EnsureAppDeps & {
  fly: MachinesApi
  store: Pick<DeploymentStore, 'find' | 'list' | 'releases'>
  /** The source of a deployment. */
  fetch: Steps['fetch']
  region: string
  publicIps: 'report' | 'release'
}

/** The steps that touch machines. */
export function deploySteps(deps: DeployDeps): Pick<Steps, 'deploy' | 'verify'> {
  const { deployer, fly, store } = deps
  return {
    async deploy(input) {
      const { deployment, emit, signal } = input
      const job = await jobOf(input, deps)
      if (!job.rollout && !deployment.plan) {
        // In the record as it was claimed, a plan means that an earlier attempt has ensured the app.
        await ensureApp(job, Promise.resolve(), deps)
        const secretsNow = () => secretsOf(fly, job.app, signal)
        const text = await changedSecrets(deployment, store.releases, secretsNow)
        if (text) emit({ type: 'warning', text })
      }
      await deployer.deploy(job)
    },

    async verify(input) {
      const job = await jobOf(input, deps)
      const { app, emit, signal } = job

      // The calls for addresses and secrets run during the watch, which takes longer.
      const verified = deployer.verify(job)
      const [{ url, desired }, , secrets] = await Promise.all([
        verified,
        checkPublicIps({ fly, app, policy: deps.publicIps, emit }, verified, signal),
        secretsOf(fly, app, signal),
      ])
      return { url, release: { desired: { ...desired, build: {}, warnings: [] }, secrets } }
    },
  }
}

async function jobOf(
  { deployment, desired, ...input }: DeployInput,
  { store, fetch, region }: DeployDeps,
) {
  const { id, number, app, options, source } = deployment
  const resolve = async () => {
    const tree = source && (await fetch(deployment, input.signal))
    return resolveDesired(deployment, tree, { releases: store.releases, region })
  }
  return {
    ...input,
    id,
    number,
    app,
    options,
    desired: input.rollout?.desired ?? desired ?? (await resolve()),
    known: (id: string, number: number) => recordKnows(store, app, { id, number }),
  }
}

/**
 * The app's secrets on Fly; null if there are too many or the call fails. A token without that
 * right, or an unavailable Fly, must not stop a deployment from going live.
 */
function secretsOf(
  fly: MachinesApi,
  app: string,
  signal: AbortSignal,
): Promise<SecretVersion[] | null> {
  return fly.secrets(app, signal).then(unlessTooMany, () => null)
}

/** A release with more secrets than this records none. */
const maxSecrets = 5000
const unlessTooMany = (secrets: SecretVersion[]) => (secrets.length <= maxSecrets ? secrets : null)
