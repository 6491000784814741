import { createHmac, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import type { Buildkit } from '../buildkit/solve.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { desiredApp, type DesiredApp } from '../deploy/desired.ts'
import type { Rollout } from '../deploy/rollout.ts'
import type { Work } from '../deploy/run.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { Intake } from '../intake/intake.ts'
import { compilePlan } from '../railpack/compile.ts'
import type { Planner } from '../railpack/open-planner.ts'
import { planSource, type PlannedSource } from '../railpack/plan-source.ts'
import { readPlan, type RailpackPlan } from '../railpack/plan-schema.ts'
import { sourceTree } from '../railpack/source-tree.ts'
import type { Registry } from '../registry/registry.ts'
import type { DeployWork, Steps } from './steps.ts'
import { secretsHash, type Vault } from './vault.ts'

const platform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`

/** What the session gives to build steps: variables of the build, and over them the secrets. */
type Values = ReadonlyMap<string, string | Buffer>
type Rooms = { vault: Vault; intake: Intake; buildkit: Buildkit; registry: Registry; deployer: Deployer }
type Settings = {
  planner: () => Promise<Planner>
  /** Images are `<registryHost>/<app>`. */
  registryHost: string
  /** Resolves when build steps are proven to be walled in; else throws. */
  walledIn: (signal: AbortSignal) => Promise<void>
  region: string
  /** Known to this gateway alone; each app's own key is made from it. */
  key: Uint8Array
  /** For what the planner writes. */
  workDir: string
}

/** The steps of a deployment, done by the rooms below. */
export function makeSteps(
  { vault, intake, buildkit, registry, deployer }: Rooms,
  settings: Settings,
): Steps<PlannedSource> {
  const { registryHost, region, key, workDir } = settings
  return {
    secrets: (deployment) => vault.open(deployment),

    fetch: (deployment) => treeOf(deployment),

    async analyze(deployment, tree, secrets, tell, signal) {
      const { app, options } = deployment
      const desired = desiredOf(deployment, tree) // what is wrong with fly.toml is said before the build, not after
      for (const text of desired.warnings) tell({ type: 'warning', text })
      await mkdir(workDir, { recursive: true })
      const { dockerfile } = desired.build
      const flyBuild = dockerfile ? { dockerfile } : {}
      const secretNames = [...secrets.keys()]
      const plan = await planSource(
        { planner: await settings.planner(), tree, options, secretNames, flyBuild, workDir, tell },
        signal,
      )
      // Before the build, for Fly's registry knows no repository without its app; after the plan, so that a source
      // that cannot be built makes none.
      const { created } = await deployer.ensureApp(app, signal)
      if (created) tell({ type: 'note', text: `Made the app ${app}, without public addresses.` })
      return plan
    },

    async build(deployment, tree, secrets, plan, pushing, tell, signal) {
      await settings.walledIn(signal)
      const { id, app, options } = deployment
      const repository = `${registryHost}/${app}`
      const tags = [`deployment-${id}`, ...(options.commit ? [options.commit.slice(0, 12)] : [])]
      const values = new Map<string, string | Buffer>([...Object.entries(options.build), ...secrets])
      const dockerfile = plan.way === 'dockerfile' ? await readDockerfile(tree, plan.dockerfile) : null
      const railpackPlan = plan.way === 'railpack' ? readPlan(plan.planText) : null
      using context = buildkit.offer(app, tree, { ignore: dockerfile?.ignore ?? railpackPlan?.exclude ?? [] })
      const build = dockerfile
        ? { dockerfile, buildArgs: options.build, context }
        : { ...compiled(railpackPlan!, context.url, deployment, values), context }
      const solved = await buildkit.solve(
        build,
        {
          ref: `${id}-${randomUUID()}`,
          names: tags.map((tag) => `${repository}:${tag}`),
          labels: labelsOf(deployment),
          secrets: values,
          rebuild: options.rebuild,
          tell,
          pushing,
        },
        signal,
      )
      const { steps, cached } = solved.stats
      tell({ type: 'note', text: `${steps} steps, ${cached} cached, ${steps - cached} run.` })
      // A push is believed when the registry says so itself.
      if (!(await registry.manifest(app, solved.digest, signal)))
        throw new Problem('registry-unavailable', `The registry does not have ${solved.digest} although it was pushed.`)
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
  function compiled(plan: RailpackPlan, contextUrl: string, { app }: Deployment, values: Values) {
    const appKey = createHmac('sha256', key).update(app).digest()
    const missing = plan.secrets.filter((name) => !values.has(name))
    if (missing.length > 0) throw secretsMissing(app, missing)
    return compilePlan(plan, {
      cacheKey: appKey.toString('hex').slice(0, 16),
      secretsHash: secretsHash(values, appKey),
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

function secretsMissing(app: string, names: string[]): Problem {
  const way = `PUT /v1/apps/${app}/secrets/${names[0]}, or the form field secret.${names[0]}`
  const detail = `The plan needs the secrets ${names.join(', ')}, which are not set. Set them: ${way}.`
  return new Problem('build-failed', detail, { facts: { secrets: names } })
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
