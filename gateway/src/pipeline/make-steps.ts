import { Problem } from '#api/problem.ts'
import { buildImage } from '../build/build-image.ts'
import type { PlannedBuildSettings } from '../build/build-request.ts'
import { takeImage } from '../build/take-image.ts'
import type { Buildkit } from '../buildkit/client.ts'
import type { OwnerRoutes } from '../commands/router/owner-routes.ts'
import type { Deployer } from '../deploy/deployer.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { DiskWatch } from '../host/disk/disk-watch.ts'
import type { PlannedSource } from '../railpack/plan-request.ts'
import type { Mirror } from '../mirror/mirror.ts'
import type { ImageCopier } from '../registry/copy/image-copier.ts'
import type { Registry } from '../registry/registry.ts'
import type { Vault } from '../secrets/vault.ts'
import type { Sources } from '../sources/sources.ts'
import { analyze, type AnalyzeDeps } from './analyze.ts'
import { deploySteps } from './deploy-steps.ts'
import type { SourceInput, Steps } from './steps.ts'
import { takeRequested } from './images/take-requested.ts'

type StepDeps = {
  vault: Vault
  sources: Sources
  buildkit: Buildkit
  registry: Registry
  copier: Pick<ImageCopier, 'take'>
  mirror: Mirror
  store: Pick<
    DeploymentStore,
    'find' | 'list' | 'imageOf' | 'releases' | 'templates' | 'caches' | 'runtimeSecrets'
  >
  fly: MachinesApi
  deployer: Deployer
  ownerRoutes: OwnerRoutes
  disk: DiskWatch
}
type Settings = PlannedBuildSettings & {
  /** What to do with public addresses that an app has after a deploy. */
  publicIps: 'report' | 'release'
  routerUrl: string
  previews: AnalyzeDeps['previews']
}

/** Makes the steps of a deployment. */
export function makeSteps(deps: StepDeps, settings: Settings): Steps<PlannedSource> {
  const { vault, sources, disk } = deps
  const taking = { ...deps, ...settings }

  const fetch: Steps['fetch'] = async ({ source }) => {
    if (!source) throw new Problem('internal', 'This deployment has no source.')
    return sources.tree(source.digest)
  }

  return {
    secrets: (deployment) => vault.open(deployment),
    fetch,
    analyze: (input) => analyze(forBuild(input), { ...deps, ...settings }),

    async build({ plan, ...input }) {
      const { desired, signal } = input
      if (plan.builder === 'none')
        return takeImage(input, { reference: plan.image, isOfSource: true }, taking)
      await disk.settled(signal)
      await settings.assertIsolated(signal).catch(async (error: unknown) => {
        // The proof is a build too. If it failed because the disk was full, report that instead.
        if (await disk.wasShort()) await disk.settled(signal)
        throw error
      })
      return buildImage(deps, settings, { ...forBuild(input), plan, flyBuild: desired.build })
    },

    take: (input) => takeRequested(input, { ...deps, ...taking }),

    ...deploySteps({ ...deps, ...settings, fetch }),
  }
}

/** The secrets of a preview are its machine's: its build, which runs a stranger's code, gets none. */
const forBuild = <Input extends SourceInput>(input: Input): Input =>
  input.deployment.preview ? { ...input, secrets: new Map() } : input
