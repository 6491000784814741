import { checkPlatforms } from '../build/platforms.ts'
import { warmSourceCache } from '../buildkit/context/warm-source-cache.ts'
import type { Buildkit } from '../buildkit/client.ts'
import { resolveDesired } from '../deploy/config/resolve-desired.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { LookupNetwork } from '../isolation/planner-network.ts'
import type { PlanCache } from '../railpack/plan-cache.ts'
import type { PlannedSource, Planner } from '../railpack/plan-request.ts'
import { planSource } from '../railpack/plan-source.ts'
import { ensureApp, type EnsureAppDeps } from './ensure-app.ts'
import type { Analysis, SourceInput } from './steps.ts'

export type AnalyzeDeps = EnsureAppDeps & {
  store: Pick<DeploymentStore, 'templates'>
  buildkit: Buildkit
  planner: () => Promise<Planner>
  lookups: LookupNetwork | null
  plans: PlanCache
  region: string
  previews: NonNullable<Parameters<typeof resolveDesired>[2]['previews']>
}

/** Reads the source's config, plans its build, and makes the app. */
export async function analyze(
  { deployment, tree, secrets, emit, signal }: SourceInput,
  deps: AnalyzeDeps,
): Promise<Analysis<PlannedSource>> {
  const { buildkit, deployer } = deps
  const { releases, templates } = deps.store
  const { id, number, app, flyApp, options } = deployment
  for (const text of deployment.source?.leftOut ?? []) emit({ type: 'note', text })
  // Reports a wrong fly.toml before the build.
  const desired = await resolveDesired(deployment, tree, { ...deps, releases, templates })

  await checkPlatforms(buildkit, options, signal)
  const preflight = { id, number, app: flyApp, recordedApp: app, options, desired, signal }
  const warnings = await deployer.preflight(preflight)
  for (const text of [...desired.warnings, ...warnings]) emit({ type: 'warning', text })

  const planned = planSource(
    {
      planner: await deps.planner(),
      app,
      tree,
      options,
      secretNames: [...secrets.keys()],
      flyBuild: desired.build,
      network: deps.lookups,
      cache: deps.plans,
      emit,
      // Ignore errors of the warm-up: the build reports them.
      planning: () => void warmSourceCache(buildkit, app, tree, signal).catch(() => {}),
    },
    signal,
  )

  // Fly's registry has no repository without an app, so make the app before the build. Make it
  // after the plan, so that a source that cannot be built makes no app.
  const [plan, ensured] = await Promise.allSettled([
    planned,
    ensureApp({ app, options, preview: deployment.preview, emit, signal }, planned, deps),
  ])
  if (plan.status === 'rejected') throw plan.reason
  if (ensured.status === 'rejected') throw ensured.reason
  return { plan: plan.value, desired }
}
