import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { desiredApp, type DesiredApp } from '../deploy/desired.ts'
import type { Rollout } from '../deploy/rollout.ts'
import type { Work } from '../deploy/run.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { LookupNetwork } from '../host/lookup-network.ts'
import type { Intake } from '../intake/intake.ts'
import { marshal } from '../llb/graph.ts'
import type { Planner } from '../railpack/open-planner.ts'
import { PlanCache } from '../railpack/plan-cache.ts'
import { planSource, type PlannedSource } from '../railpack/plan-source.ts'
import { sourceTree } from '../railpack/source-tree.ts'
import { buildImage, checkPlatforms, type BuildRooms, type BuildSettings } from './build-image.ts'
import type { DeployWork, Steps } from './steps.ts'
import type { Vault } from './vault.ts'

type Rooms = BuildRooms & { vault: Vault; intake: Intake; deployer: Deployer }
type Settings = BuildSettings & {
  planner: () => Promise<Planner>
  /** Resolves when build steps are proven to be walled in; else throws. */
  walledIn: (signal: AbortSignal) => Promise<void>
  region: string
  /** Where plans are kept. */
  plansDir: string
  /** Where the planner looks up versions. */
  lookups: LookupNetwork | null
}

/** The steps of a deployment, done by the rooms below. */
export function makeSteps(rooms: Rooms, settings: Settings): Steps<PlannedSource> {
  const { vault, intake, buildkit, deployer } = rooms
  const { region, lookups } = settings
  const cache = new PlanCache(settings.plansDir, settings.key)
  return {
    secrets: (deployment) => vault.open(deployment),

    fetch: (deployment) => treeOf(deployment),

    async analyze(deployment, tree, secrets, tell, signal) {
      const { id, number, app, options } = deployment
      const desired = desiredOf(deployment, tree) // what is wrong with fly.toml is said before the build, not after
      await checkPlatforms(buildkit, options, signal)
      await deployer.refuseUnfit({ id, number, app, desired, signal })
      for (const text of desired.warnings) tell({ type: 'warning', text })
      const { dockerfile } = desired.build
      const flyBuild = dockerfile ? { dockerfile } : {}
      const secretNames = [...secrets.keys()]
      const planner = await settings.planner()
      const planning = () => void takeInAhead(app, tree, signal).catch(() => {}) // the build says what is wrong
      const planned = planSource(
        { planner, app, tree, options, secretNames, flyBuild, network: lookups, cache, tell, planning },
        signal,
      )
      // Before the build, for Fly's registry knows no repository without its app; made after the plan, so that a source
      // that cannot be built makes none.
      const [plan, ensured] = await Promise.allSettled([planned, deployer.ensureApp(app, planned, signal)])
      if (plan.status === 'rejected') throw plan.reason
      if (ensured.status === 'rejected') throw ensured.reason
      if (ensured.value.created) tell({ type: 'note', text: `Made the app ${app}, without public addresses.` })
      return plan.value
    },

    async build(deployment, tree, secrets, plan, pushing, tell, signal) {
      await settings.walledIn(signal)
      const flyBuild = desiredOf(deployment, tree).build
      return buildImage(rooms, settings, { deployment, tree, secrets, plan, flyBuild, pushing, tell, signal })
    },

    deploy: async (work) => deployer.deploy(await toWork(work)),
    verify: async (work) => deployer.verify(await toWork(work)),
  }

  /** The daemon has time for the source while the planner runs; unless the plan may leave out some of it. */
  async function takeInAhead(app: string, tree: SourceTree, signal: AbortSignal): Promise<void> {
    if (tree.entries.some(({ path }) => path === '.dockerignore' || path === 'railpack.json')) return
    using context = buildkit.offer(app, tree, { ignore: [] })
    await buildkit.runAhead(marshal(sourceTree(context.url)), signal)
  }

  function treeOf({ source }: Deployment): Promise<SourceTree> {
    if (!source) throw new Problem('internal', 'This deployment has no source.')
    return intake.tree(source.digest)
  }

  function desiredOf({ app, options }: Deployment, tree: SourceTree): DesiredApp {
    const files = new Set(tree.entries.flatMap(({ type, path }) => (type === 'file' ? [path] : [])))
    const readFile = (path: string) => (files.has(path) ? readFileSync(join(tree.root, path)) : null)
    const flyToml = readFile('fly.toml')?.toString() ?? null
    return desiredApp({ flyToml, app, options, defaults: { region }, readFile })
  }

  async function toWork({ deployment, image, rollout, remember, tell, signal }: DeployWork): Promise<Work> {
    const { id, number, app, options } = deployment
    const known = rollout as Rollout | null
    const desired = known?.desired ?? desiredOf(deployment, await treeOf(deployment))
    return { id, number, app, options, image, desired, rollout: known, remember, tell, signal }
  }
}
