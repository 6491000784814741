import { createHmac, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import type { Build, Buildkit, SolveOptions } from '../buildkit/solve.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { desiredApp, type DesiredApp } from '../deploy/desired.ts'
import type { Rollout } from '../deploy/rollout.ts'
import type { Work } from '../deploy/run.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { DiskWatch } from '../host/disk-watch.ts'
import type { Intake } from '../intake/intake.ts'
import { byteOrder } from '../llb/byte-order.ts'
import { compilePlan } from '../railpack/compile.ts'
import type { Planner } from '../railpack/open-planner.ts'
import { planSource, type PlannedSource } from '../railpack/plan-source.ts'
import { readPlan, type RailpackPlan } from '../railpack/plan-schema.ts'
import { sourceTree } from '../railpack/source-tree.ts'
import type { Registry } from '../registry/registry.ts'
import { buildSummary } from './build-summary.ts'
import type { DeployWork, Steps } from './steps.ts'
import { withinRoom } from './within-room.ts'

const platform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`

type Rooms = { intake: Intake; buildkit: Buildkit; registry: Registry; deployer: Deployer; disk: DiskWatch }
type Settings = {
  planner: () => Promise<Planner>
  /** Images are `<registryHost>/<app>`. */
  registryHost: string
  region: string
  /** The digest of the image that was last made for an app. */
  lastImage: (app: string) => Promise<string | null>
  /** Known to this gateway alone; each app's own key is made from it. */
  key: Uint8Array
  /** For what the planner writes. */
  workDir: string
}

/** The steps of a deployment, done by the rooms below. */
export function makeSteps(
  { intake, buildkit, registry, deployer, disk }: Rooms,
  settings: Settings,
): Steps<PlannedSource> {
  const { registryHost, region, key, workDir } = settings
  const solve = (build: Build, how: SolveOptions, signal: AbortSignal) =>
    withinRoom(disk, (limited) => buildkit.solve(build, how, limited), signal)
  return {
    fetch: (deployment) => treeOf(deployment),

    async analyze(deployment, tree, tell, signal) {
      const { app, options } = deployment
      const desired = desiredOf(deployment, tree) // what is wrong with fly.toml is said before the build, not after
      for (const text of desired.warnings) tell({ type: 'warning', text })
      await mkdir(workDir, { recursive: true })
      const { dockerfile } = desired.build
      const flyBuild = dockerfile ? { dockerfile } : {}
      const plan = await planSource(
        { planner: await settings.planner(), tree, options, flyBuild, workDir, tell },
        signal,
      )
      // Before the build, for Fly's registry knows no repository without its app; after the plan, so that a source
      // that cannot be built makes none.
      const { created } = await deployer.ensureApp(app, signal)
      if (created) tell({ type: 'note', text: `Made the app ${app}, without public addresses.` })
      return plan
    },

    async build(deployment, tree, plan, pushing, tell, signal) {
      const { id, app, options } = deployment
      const repository = `${registryHost}/${app}`
      const tags = [`deployment-${id}`, ...(options.commit ? [options.commit.slice(0, 12)] : [])]
      const dockerfile = plan.way === 'dockerfile' ? await readDockerfile(tree, plan.dockerfile) : null
      const railpackPlan = plan.way === 'railpack' ? readPlan(plan.planText) : null
      using context = buildkit.offer(app, tree, { ignore: dockerfile?.ignore ?? railpackPlan?.exclude ?? [] })
      const build = dockerfile
        ? { dockerfile, buildArgs: options.build, context }
        : { ...compiled(railpackPlan!, context.url, deployment), context }
      const startedAt = performance.now()
      const solved = await solve(
        build,
        {
          ref: `${id}-${randomUUID()}`,
          names: tags.map((tag) => `${repository}:${tag}`),
          labels: labelsOf(deployment),
          secrets: new Map(Object.entries(options.build)),
          rebuild: options.rebuild,
          tell,
          pushing,
        },
        signal,
      )
      // A push is believed when the registry says so itself.
      if (!(await registry.manifest(app, solved.digest, signal)))
        throw new Problem('registry-unavailable', `The registry does not have ${solved.digest} although it was pushed.`)
      const built = { app, digest: solved.digest, ...solved.stats, ms: performance.now() - startedAt }
      const summary = await buildSummary(built, await settings.lastImage(app), registry, signal)
      tell({ type: 'note', text: summary })
      return { reference: `${repository}@${solved.digest}`, digest: solved.digest, tags }
    },

    deploy: async (work) => deployer.deploy(await toWork(work)),
    verify: async (work) => deployer.verify(await toWork(work)),
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

  /** A plan as BuildKit's graph, with what must be the app's own (cache mounts, the hash of secrets) made from its key. */
  function compiled(plan: RailpackPlan, contextUrl: string, { app, options }: Deployment) {
    const appKey = createHmac('sha256', key).update(app).digest()
    const secrets = JSON.stringify(Object.entries(options.build).toSorted(([a], [b]) => byteOrder(a, b)))
    return compilePlan(plan, {
      cacheKey: appKey.toString('hex').slice(0, 16),
      secretsHash: createHmac('sha256', appKey).update(secrets).digest('hex'),
      platform,
      source: sourceTree(contextUrl),
      builtAt: new Date(),
    })
  }

  async function toWork({ deployment, image, rollout, remember, tell, signal }: DeployWork): Promise<Work> {
    const { id, number, app, options } = deployment
    const known = rollout as Rollout | null
    const desired = known?.desired ?? desiredOf(deployment, await treeOf(deployment))
    return { id, number, app, options, image, desired, rollout: known, remember, tell, signal }
  }
}

function labelsOf({ id, app, source, createdAt, options }: Deployment): Record<string, string> {
  return {
    'org.opencontainers.image.created': createdAt,
    ...(options.commit && { 'org.opencontainers.image.revision': options.commit }),
    ...(source && { 'dev.tarmac.source': source.digest }),
    'dev.tarmac.deployment': id,
    'dev.tarmac.app': app,
  }
}
