import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { SecretVersion } from '#api/release.ts'
import {
  buildImage,
  checkPlatforms,
  type BuildDeps,
  type BuildSettings,
} from '../build/build-image.ts'
import { reportPublicIps, publicIps } from '../commands/drift.ts'
import { findRelease, changedSecrets } from '../commands/releases.ts'
import type { DesiredApp } from '../deploy/config/desired-app.ts'
import { withOptions, desiredApp, forOwner } from '../deploy/config/desired.ts'
import { readDesired } from '../deploy/config/read-desired.ts'
import { restoreConfig, keysOf } from '../deploy/config/restore-config.ts'
import type { Deployer } from '../deploy/deployer.ts'
import type { DeployJob } from '../deploy/job.ts'
import { readProgress } from '../deploy/read-progress.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import { hasFile, type SourceTree } from '../deployments/source-tree.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '../fly/machines-api.ts'
import { openSource } from '../host/read-source-file.ts'
import { sourceText } from '../host/source-text.ts'
import type { LookupNetwork } from '../isolation/planner-network.ts'
import { marshal } from '../llb/graph.ts'
import { sourceTree } from '../railpack/compile/source-node.ts'
import { PlanCache } from '../railpack/plan-cache.ts'
import type { Planner, PlannedSource } from '../railpack/plan-request.ts'
import { planSource } from '../railpack/plan-source.ts'
import type { Vault } from '../secrets/vault.ts'
import type { Sources } from '../sources/sources.ts'
import type { DeployWork, Steps } from './steps.ts'

type StepDeps = BuildDeps & {
  vault: Vault
  sources: Sources
  fly: MachinesApi
  deployer: Deployer
  store: Pick<DeploymentStore, 'find' | 'list' | 'releases'>
}
type Settings = BuildSettings & {
  planner: () => Promise<Planner>
  /** Throws unless the isolation of build steps is proven. */
  assertIsolated: (signal: AbortSignal) => Promise<void>
  region: string
  /** Folder of the plan cache. */
  plansDir: string
  /** The network in which the planner looks up versions; null: none. */
  lookups: LookupNetwork | null
  /** What to do with public addresses that an app has after a deploy. */
  publicIps: 'report' | 'release'
}

const releasesAtOnce = 20
/** A release with more secrets than this records none. */
const maxSecrets = 5000
const unlessTooMany = (secrets: SecretVersion[]) => (secrets.length <= maxSecrets ? secrets : null)

/** Makes the steps of a deployment from the modules below. */
export function makeSteps(deps: StepDeps, settings: Settings): Steps<PlannedSource> {
  const { vault, sources, buildkit, fly, deployer, store } = deps
  const { region, lookups } = settings
  const cache = new PlanCache(settings.plansDir, settings.key)
  return {
    secrets: (deployment) => vault.open(deployment),

    fetch: (deployment) => treeOf(deployment),

    async analyze(deployment, tree, secrets, emit, signal) {
      const { id, number, app, options } = deployment
      const desired = desiredOf(deployment, tree) // reports a wrong fly.toml before the build

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

      // Ignore errors of the warm-up: the build reports them.
      const planning = () => void warmSourceCache(app, tree, signal).catch(() => {})
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

      // Fly's registry has no repository without an app, so make the app before the build. Make it
      // after the plan, so that a source that cannot be built makes no app.
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
        // The proof is a build too. If it failed because the disk was full, report that instead.
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
        // There was no build, so `analyze` has not ensured the app.
        await ensureApp(work.app, Promise.resolve(), work.emit, work.signal)
        await warnChangedSecrets(given)
      }
      await deployer.deploy(work)
    },

    async verify(given) {
      const work = await toWork(given)
      const { app, emit, signal } = work

      // These calls run during the watch, which takes longer.
      const [ips, secrets] = [publicIps(fly, app, signal), secretsOf(app, signal)]
      const { url, desired } = await deployer.verify(work)
      await reportPublicIps(fly, app, await ips, settings.publicIps, emit, signal)

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

  /**
   * The app's secrets on Fly; null if there are too many or the call fails. A token without that
   * right, or an unavailable Fly, must not stop a deployment from going live.
   */
  function secretsOf(app: string, signal: AbortSignal): Promise<SecretVersion[] | null> {
    return fly.secrets(app, signal).then(unlessTooMany, () => null)
  }

  /** A rollback does not restore secrets: warns which ones have changed since that release. */
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

  /** Sends the source to the daemon early, unless the plan may exclude some of its files. */
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

  /** The desired config: from the source, else from release `from`, else without fly.toml. */
  async function resolveDesired(deployment: Deployment): Promise<DesiredApp> {
    const { app, options, from, source } = deployment
    if (source) return desiredOf(deployment, await treeOf(deployment))
    if (!from) return desiredApp({ flyToml: null, app, options, defaults: { region } })
    const { desired } = await findRelease(store.releases, from.app, from.owner, from.release)
    const again = withOptions(readDesired(desired), options)
    if (from.app !== app || from.owner !== deployment.owner) return again
    return restoreConfig(again, await releasesAfter(app, from.owner, from.release))
  }

  /** The later releases, newest first. Reads them in pages, because some are large. */
  async function releasesAfter(
    app: string,
    owner: string | null,
    release: number,
  ): Promise<DesiredApp[]> {
    const later: DesiredApp[] = []
    for (let before: string | null = null; ;) {
      const page = await store.releases.list(app, owner, { limit: releasesAtOnce, before })
      const found = page.releases.filter(({ number }) => number > release)
      later.push(...found.map(({ desired }) => keysOf(readDesired(desired))))
      if (found.length < page.releases.length || page.next === null) return later
      before = page.next
    }
  }

  /**
   * Whether this gateway made the deployment. An old record may have been deleted, so a missing
   * number below the newest counts. A number of another deployment, or above the newest, does not.
   */
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
    const progress = readProgress(rollout)
    const desired = progress?.desired ?? forOwner(await resolveDesired(deployment), options)
    return {
      id,
      number,
      app,
      options,
      image,
      desired,
      known: recordKnows.bind(null, app),
      rollout: progress,
      checkpoint,
      emit,
      signal,
    }
  }
}
