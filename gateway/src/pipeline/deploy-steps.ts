import type { Deployment } from '#api/deployment.ts'
import { resolveDesired } from '../deploy/config/resolve-desired.ts'
import { checkPublicIps } from '../deploy/public-ips.ts'
import { templateOf } from '../deployments/previews/template-of.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { keyWarnings } from '../commands/runtime/key-warnings.ts'
import { secretWords } from '../commands/runtime/secret-place.ts'
import type { DeployJob } from '../deploy/job.ts'
import { changedSecrets } from './keys/changed-secrets.ts'
import { deployedSecrets } from './keys/deployed-secrets.ts'
import { secretsNow, type SecretsNow } from './keys/secrets-now.ts'
import type { Vault } from '../secrets/vault.ts'
import { setPreviewSecrets } from './keys/preview-secrets.ts'
import type { AnalyzeDeps } from './analyze.ts'
import { ensureApp, ensureOwnApp, type EnsureAppDeps } from './ensure-app.ts'
import { recordKnows } from './record-knows.ts'
import type { DeployInput, Steps } from './steps.ts'

type DeployDeps = EnsureAppDeps & {
  vault: Pick<Vault, 'open'>
  fly: MachinesApi
  store: Pick<DeploymentStore, 'find' | 'list' | 'releases' | 'templates' | 'runtimeSecrets'>
  /** The source of a deployment. */
  fetch: Steps['fetch']
  region: string
  previews: AnalyzeDeps['previews']
  publicIps: 'report' | 'release'
  /** `{app}` and `{owner}`: the address of an owner's machines behind a router. */
  routerUrl: string
}

/** The steps that touch machines. */
export function deploySteps(deps: DeployDeps): Pick<Steps, 'deploy' | 'verify'> {
  const { deployer, fly, store } = deps
  return {
    async deploy(input) {
      const job = await jobOf(input, deps)
      if (job.rollout) return await deployer.deploy(await withKnownVersion(job, deps))
      const { deployment, emit, signal } = input
      // In the record as it was claimed, a plan means that an earlier attempt has ensured the app.
      if (job.app !== job.recordedApp) await ensureOwnApp({ ...deployment, emit, signal }, deps)
      else if (!deployment.plan) await ensureApp(job, Promise.resolve(), deps)
      if (deployment.preview) {
        const template = await templateOf(deployment.preview, store.templates)
        if (template?.egress) await deployer.limitEgress({ ...job, egress: template.egress })
        await setPreviewSecrets(deployment, deps, signal)
      }

      const secrets = await secretsNow(job.app, deps, signal)
      const rollback = await changedSecrets(deployment, store.releases, secrets.digests)
      const warnings = await warningsOf(job, secrets, deps)
      for (const text of [...(rollback ? [rollback] : []), ...warnings])
        emit({ type: 'warning', text })
      await deployer.deploy({ ...job, secrets })
    },

    async verify(input) {
      const found = await jobOf(input, deps)
      const { app, emit, signal, route } = found
      const job = await withKnownVersion(found, deps)

      // The calls for addresses run during the watch, which takes longer.
      const verified = deployer.verify(job)
      const [{ url, desired, secrets: atStart }, , after] = await Promise.all([
        verified,
        checkPublicIps({ fly, app, policy: deps.publicIps, emit }, verified, signal),
        verified.then(() => secretsNow(app, deps, signal)),
      ])
      const { have, changed } = deployedSecrets(job, atStart, after.digests)
      const warnings = await warningsOf({ ...job, desired }, after, deps)
      if (changed !== null) {
        emit({ type: 'warning', text: changed })
        warnings.push(changed)
      }
      const release = { desired: { ...desired, build: {}, warnings: [] }, secrets: have }
      const routed = url !== null && route ? routedUrl(deps.routerUrl, input.deployment) : url
      return { url: routed, release, warnings }
    },
  }
}

/** For a deploy whose progress already has the digests. */
async function withKnownVersion<Job extends { app: string }>(job: Job, { store }: DeployDeps) {
  const mark = await store.runtimeSecrets.find(job.app)
  return { ...job, secrets: { version: mark?.version ?? 0, digests: null } }
}

/** What the release lacks of the one before, and what another tool has changed. */
async function warningsOf(
  job: Pick<DeployJob, 'app' | 'recordedApp' | 'options' | 'desired'>,
  { digests, own }: SecretsNow,
  { store }: DeployDeps,
): Promise<string[]> {
  const { owner } = job.options
  const before = await store.releases.find(job.recordedApp, owner)
  const words = secretWords({ app: job.recordedApp, owner, flyApp: job.app })
  return keyWarnings(before, job.desired, { now: digests, own, words })
}

const routedUrl = (template: string, { app, owner }: Deployment): string =>
  template.replaceAll('{app}', app).replaceAll('{owner}', owner ?? '')

async function jobOf(
  { deployment, desired, isAlone = false, ...input }: DeployInput,
  { store, fetch, ownerRoutes, ...deps }: DeployDeps,
) {
  const { id, number, app, flyApp, options, source, preview } = deployment
  const { releases, templates } = store
  const resolve = async () => {
    const tree = source && (await fetch(deployment, input.signal))
    return resolveDesired(deployment, tree, { ...deps, releases, templates })
  }
  const { owner } = options
  const { emit } = input
  const route = (machines: string[], signal: AbortSignal) =>
    ownerRoutes.route({ app, owner: owner!, machines }, { emit, signal, isAlone })
  return {
    ...input,
    // An owner with an app of its own has an address of its own.
    route: owner !== null && flyApp === app && ownerRoutes.has(app) ? route : undefined,
    id,
    number,
    app: flyApp,
    recordedApp: app,
    options,
    preview,
    desired: input.rollout?.desired ?? desired ?? (await resolve()),
    known: (id: string, number: number) => recordKnows(store, app, { id, number }),
  }
}
