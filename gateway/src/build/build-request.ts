import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { Buildkit } from '../buildkit/client.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { DeploymentPatch, DeploymentStore } from '../deployments/store.ts'
import type { FlyToml } from '../flytoml/read-fly-toml.ts'
import type { DiskWatch } from '../host/disk/disk-watch.ts'
import type { Mirror } from '../mirror/mirror.ts'
import type { LookupNetwork } from '../isolation/planner-network.ts'
import type { PlanCache } from '../railpack/plan-cache.ts'
import type { BuildPlan, Planner } from '../railpack/plan-request.ts'
import type { Registry } from '../registry/registry.ts'
import type { Secrets } from '../secrets/vault.ts'

export type BuildRequest = {
  deployment: Deployment
  tree: SourceTree
  /**
   * Given to the build steps together with the build variables. A secret wins over a variable of
   * the same name.
   */
  secrets: Secrets
  plan: BuildPlan
  /** The `[build]` section of fly.toml. */
  flyBuild: FlyToml['build']
  pushing: () => void
  emit: EventSink
  signal: AbortSignal
}

/** An image, built or reused. `build` is set only if it was built. */
export type Built = { image: ImageFacts; bases: Deployment['bases'] } & Pick<
  DeploymentPatch,
  'build'
>

export type BuildDeps = {
  buildkit: Buildkit
  registry: Registry
  mirror: Mirror
  store: Pick<DeploymentStore, 'imageOf' | 'list' | 'caches'>
  disk: DiskWatch
}

export type BuildSettings = {
  /** Images are `<registryHost>/<app>`. */
  registryHost: string
  /**
   * The registry repository and tag for the build cache, with `{app}` in it. Empty: no such cache.
   */
  registryCache: string
  /** Known to this gateway alone. The gateway derives each app's own key from it. */
  key: Uint8Array
}

/** For a build with its plan before it. */
export type PlannedBuildSettings = BuildSettings & {
  planner: () => Promise<Planner>
  /** Throws unless the isolation of build steps is proven. */
  assertIsolated: (signal: AbortSignal) => Promise<void>
  region: string
  plans: PlanCache
  /** The network in which the planner looks up versions; null: none. */
  lookups: LookupNetwork | null
}
