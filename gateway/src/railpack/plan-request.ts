import { z } from 'zod'
import type { PlanFacts } from '#api/deployment.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { LookupNetwork } from '../isolation/planner-network.ts'

export type Planner = { path: string; version: string }

export const planLimits = {
  timeoutMs: 180_000,
  cpuS: 60,
  memoryBytes: 2 ** 30,
  /** Threads count too: mise and the planner start some for each core. */
  processes: 256,
  maxOutputBytes: 2 ** 20,
  maxResultBytes: 8 * 2 ** 20,
  tmpBytes: 64 * 2 ** 20,
  /** The wait before each retry. There is one try more than there are waits. */
  retryWaitsMs: [1_000, 3_000, 9_000],
}

export type PlanRequest = {
  planner: Planner
  app: string
  tree: SourceTree
  options: Pick<DeploymentOptions, 'plan' | 'dockerfile' | 'build' | 'deploy' | 'rebuild'>
  /** Names of the build secrets. The planner never gets their values. */
  secretNames?: readonly string[]
  /** What the `[build]` section of fly.toml says. */
  flyBuild?: { image?: string; dockerfile?: string; ignorefile?: string }
  /** The network in which the planner looks up versions. Null: it has no network. */
  network: LookupNetwork | null
  cache?: PlanStore
  emit: EventSink
  /** Called when the planner is about to run, which takes some time. */
  planning?: () => void
  limits?: Partial<typeof planLimits>
}

/** A source of which an image is built. */
export type BuildPlan =
  | { builder: 'railpack'; facts: PlanFacts; planText: string }
  | { builder: 'dockerfile'; facts: PlanFacts; dockerfile: string }
/** `image`: the reference of fly.toml, which is deployed instead of a build. */
export type PlannedSource = BuildPlan | { builder: 'none'; facts: PlanFacts; image: string }

export type PrepareRequest = Omit<PlanRequest, 'flyBuild' | 'limits' | 'cache' | 'planning'> & {
  limits: typeof planLimits
  /** The folder that the planner sees. */
  root: string
}

/** The fields that the gateway reads from railpack's info file. */
export const Info = z.object({
  logs: z.array(z.object({ Level: z.string(), Msg: z.string() })),
  detectedProviders: z.array(z.string()),
  resolvedPackages: z.record(z.string(), z.object({ resolvedVersion: z.string().optional() })),
})
export type Info = z.infer<typeof Info>

export const PrepareResult = z.object({ info: Info, planText: z.string() })
export type PrepareResult = z.infer<typeof PrepareResult>

export type PlanCacheKey = Pick<
  PrepareRequest,
  'app' | 'planner' | 'tree' | 'options' | 'secretNames'
>

/** Plans of earlier runs. */
export type PlanStore = {
  find(key: PlanCacheKey): Promise<PrepareResult | null>
  keep(key: PlanCacheKey, result: PrepareResult): Promise<void>
}
