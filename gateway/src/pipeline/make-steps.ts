import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { SecretVersion } from '#api/release.ts'
import { restoreConfig, keysOf } from '../deploy/config/restore-config.ts'
import type { Deployer } from '../deploy/deployer.ts'
import { withOptions, desiredApp, type DesiredApp, forOwner } from '../deploy/config/desired.ts'
import type { DeployProgress } from '../deploy/plan.ts'
import type { DeployJob } from '../deploy/execution.ts'
import { hasFile, type SourceTree } from '../deployments/source-tree.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { MachinesApi } from '../fly/machines-api.ts'
import type { LookupNetwork } from '../isolation/planner-network.ts'
import { openSource } from '../host/read-source-file.ts'
import { sourceText } from '../host/source-text.ts'
import type { Sources } from '../sources/sources.ts'
import { marshal } from '../llb/graph.ts'
import type { Planner } from '../railpack/open-planner.ts'
import { PlanCache } from '../railpack/plan-cache.ts'
import { planSource, type PlannedSource } from '../railpack/plan-source.ts'
import { sourceTree } from '../railpack/compile/source-node.ts'
import { auditIps, publicIps } from '../commands/drift.ts'
import {
  buildImage,
  checkPlatforms,
  type BuildDeps,
  type BuildSettings,
} from '../build/build-image.ts'
import { findRelease, changedSecrets } from '../commands/releases.ts'
import type { DeployWork, Steps } from './steps.ts'
import type { Vault } from '../secrets/vault.ts'

type StepDeps = BuildDeps & {
  vault: Vault
  sources: Sources
  fly: MachinesApi
  deployer: Deployer
  store: Pick<DeploymentStore, 'find' | 'list' | 'releases'>
}
type Settings = BuildSettings & {
  planner: () => Promise<Planner>
  /** Resolves when build steps are proven to be walled in; else throws. */
  assertIsolated: (signal: AbortSignal) => Promise<void>
  region: string
  /** Where plans are kept. */
  plansDir: string
  /** Where the planner looks up versions. */
  lookups: LookupNetwork | null
  /** What becomes of public addresses that are found after a deploy. */
  publicIps: 'report' | 'release'
}

const releasesAtOnce = 20
/** A release that would have to name more of them names none. */
const maxSecrets = 5000
const unlessTooMany = (secrets: SecretVersion[]) => (secrets.length <= maxSecrets ? secrets : null)

/** The steps of a deployment, done by the rooms below. */
export function makeSteps(deps: StepDeps, settings: Settings): Steps<PlannedSource> {
  const { vault, sources, buildkit, fly, deployer, store } = deps
  const { region, lookups } = settings
  const cache = new PlanCache(settings.plansDir, settings.key)
  return {
    secrets: (deployment) => vault.open(deployment),

    fetch: (deployment) => treeOf(deployment),

    async analyze(deployment, tree, secrets, emit, signal) {
      const { id, number, app, options } = deployment
      const desired = desiredOf(deployment, tree) // what is wrong with fly.toml is said before the build, not after
      await checkPlatforms(buildkit, options, signal)
      await deployer.preflight({
        id,
        number,
        app,
        options,
        desired: forOwner(desired, options),
        signal,
      })
      for (const text of desired.warnings) emit({ type: 'warning', text })
      const { image, dockerfile } = desired.build
      const flyBuild = { ...(image && { image }), ...(dockerfile && { dockerfile }) }
      const secretNames = [...secrets.keys()]
      const planner = await settings.planner()
      const planning = () => void warmSourceCache(app, tree, signal).catch(() => {}) // the build says what is wrong
      const planned = planSource(
        {
          planner,
          app,
          tree,
          options,
          secretNames,
          flyBuild,
          network: lookups,
          cache,
          emit,
          planning,
        },
        signal,
      )
      // Before the build, for Fly's registry knows no repository without its app; made after the plan, so that a source
      // that cannot be built makes none.
      const [plan, ensured] = await Promise.allSettled([
        planned,
        ensureApp(app, planned, emit, signal),
      ])
      if (plan.status === 'rejected') throw plan.reason
      if (ensured.status === 'rejected') throw ensured.reason
      return plan.value
    },

    async build(deployment, tree, secrets, plan, pushing, emit, signal) {
      await deps.disk.settled(signal)
      await settings.assertIsolated(signal).catch(async (error: unknown) => {
        // The proof is a build too: on a full disk it fails for want of room, and that is the reason to give.
        if (await deps.disk.wasShort()) await deps.disk.settled(signal)
        throw error
      })
      const flyBuild = desiredOf(deployment, tree).build
      return buildImage(deps, settings, {
        deployment,
        tree,
        secrets,
        plan,
        flyBuild,
        pushing,
        emit,
        signal,
      })
    },

    async deploy(given) {
      const work = await toWork(given)
      if (!work.rollout && !given.deployment.plan) {
        // No build came before it, so nobody has looked yet.
        await ensureApp(work.app, Promise.resolve(), work.emit, work.signal)
        await warnChangedSecrets(given)
      }
      await deployer.deploy(work)
    },

    async verify(given) {
      const work = await toWork(given)
      const { app, emit, signal } = work
      const [ips, secrets] = [publicIps(fly, app, signal), secretsOf(app, signal)] // the watch takes longer
      const { url, desired } = await deployer.verify(work)
      await auditIps(fly, app, await ips, settings.publicIps, emit, signal)
      return {
        url,
        release: { desired: { ...desired, build: {}, warnings: [] }, secrets: await secrets },
      }
    },
  }

  async function ensureApp(
    app: string,
    wanted: Promise<unknown>,
    emit: EventSink,
    signal: AbortSignal,
  ): Promise<void> {
    const made = await deployer.ensureApp(app, wanted, signal)
    if (!made) return
    await store.releases.recordCreatedApp(app, made.id ?? null)
    emit({ type: 'note', text: `Made the app ${app}, without public addresses.` })
  }

  /** A builder whose token may not ask, or a Fly that is away, keeps nobody from going live. */
  function secretsOf(app: string, signal: AbortSignal): Promise<SecretVersion[] | null> {
    return fly.secrets(app, signal).then(unlessTooMany, () => null)
  }

  /** A release before the newest one comes back without the secrets that it had. */
  async function warnChangedSecrets({
    deployment: { app, owner, from },
    emit,
    signal,
  }: DeployWork): Promise<void> {
    if (from?.app !== app || from.owner !== owner) return
    const [release, newest] = [
      await findRelease(store.releases, app, owner, from.release),
      await store.releases.find(app, owner),
    ]
    const text =
      newest?.number === from.release ? null : changedSecrets(release, await secretsOf(app, signal))
    if (text) emit({ type: 'warning', text })
  }

  /** The daemon has time for the source while the planner runs; unless the plan may leave out some of it. */
  async function warmSourceCache(
    app: string,
    tree: SourceTree,
    signal: AbortSignal,
  ): Promise<void> {
    if (hasFile(tree, '.dockerignore') || hasFile(tree, 'railpack.json')) return
    using context = buildkit.serveContext(app, tree, { ignore: [] })
    await buildkit.warmCache(marshal(sourceTree(context.url)), signal)
  }

  function treeOf({ source }: Deployment): Promise<SourceTree> {
    if (!source) throw new Problem('internal', 'This deployment has no source.')
    return sources.tree(source.digest)
  }

  function desiredOf({ app, options }: Deployment, tree: SourceTree): DesiredApp {
    const readFile = openSource(tree)
    const bytes = readFile('fly.toml')
    const flyToml = bytes && sourceText(bytes, 'fly.toml', 'fly-config-invalid', { strict: true })
    return desiredApp({ flyToml, app, options, defaults: { region }, readFile })
  }

  /** What an image is deployed as: as its release was, else as its source says, else as anything without a fly.toml. */
  async function resolveDesired(deployment: Deployment): Promise<DesiredApp> {
    const { app, options, from, source } = deployment
    if (source) return desiredOf(deployment, await treeOf(deployment))
    if (!from) return desiredApp({ flyToml: null, app, options, defaults: { region } })
    const { desired } = await findRelease(store.releases, from.app, from.owner, from.release)
    const again = withOptions(desired as DesiredApp, options)
    if (from.app !== app || from.owner !== deployment.owner) return again
    return restoreConfig(again, await releasesAfter(app, from.owner, from.release))
  }

  /** Newest first, page by page: of large releases a page holds few. */
  async function releasesAfter(
    app: string,
    owner: string | null,
    release: number,
  ): Promise<DesiredApp[]> {
    const later: DesiredApp[] = []
    for (let before: string | null = null; ;) {
      const page = await store.releases.list(app, owner, { limit: releasesAtOnce, before })
      const found = page.releases.filter(({ number }) => number > release)
      later.push(...found.map(({ desired }) => keysOf(desired as DesiredApp)))
      if (found.length < page.releases.length || page.next === null) return later
      before = page.next
    }
  }

  /** Old deployments may have been forgotten; a number that is another's, or is still to come, was never ours. */
  async function recordKnows(app: string, id: string, number: number): Promise<boolean> {
    if (await store.find(id)) return true
    const newest = async (before: number | null) => {
      const page = await store.list(app, { limit: 1, before: before === null ? null : `${before}` })
      return page.deployments[0]?.number ?? 0
    }
    return (await newest(number + 1)) !== number && (await newest(null)) > number
  }

  async function toWork({
    deployment,
    image,
    rollout,
    checkpoint,
    emit,
    signal,
  }: DeployWork): Promise<DeployJob> {
    const { id, number, app, options } = deployment
    const former = rollout as DeployProgress | null
    const desired = former?.desired ?? forOwner(await resolveDesired(deployment), options)
    return {
      id,
      number,
      app,
      options,
      image,
      desired,
      known: recordKnows.bind(null, app),
      rollout: former,
      checkpoint,
      emit,
      signal,
    }
  }
}
