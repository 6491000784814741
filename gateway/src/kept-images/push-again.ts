import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { buildAgain } from '../build/build-image.ts'
import { ownPlatform } from '../build/platforms.ts'
import type { BuildDeps, PlannedBuildSettings } from '../build/build-request.ts'
import type { PreviewSettings } from '../deploy/config/preview.ts'
import { resolveDesired } from '../deploy/config/resolve-desired.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { planSource } from '../railpack/plan-source.ts'
import type { ImageCopier } from '../registry/copy/image-copier.ts'
import type { Vault } from '../secrets/vault.ts'
import type { Sources } from '../sources/sources.ts'

type Deps = Omit<BuildDeps, 'store'> & {
  store: BuildDeps['store'] & Pick<DeploymentStore, 'releases' | 'templates'>
  sources: Pick<Sources, 'tree'>
  vault: Pick<Vault, 'open'>
  copier: Pick<ImageCopier, 'take'>
}
type Settings = PlannedBuildSettings & { previews: PreviewSettings }
type Lost = { app: string; digest: string }

const buildMs = 30 * 60_000
const quiet: EventSink = () => {}
const page = 100
const maxRecords = 1000

/**
 * Makes an image again that the registry has lost: copies it once more from where it came, or builds
 * the kept source of the deployment that made it, with all steps from the cache. Only the same digest is the same image. Throws a Problem
 * that says why it is not.
 */
export async function pushAgain(
  { app, digest }: Lost,
  deps: Deps,
  settings: Settings,
  stop: AbortSignal,
): Promise<void> {
  const { store, sources, registry } = deps
  const signal = AbortSignal.any([stop, AbortSignal.timeout(buildMs)])
  const maker = await makerOf({ app, digest }, store)
  if (maker?.requestedImage) return copyAgain(maker, digest, deps, signal)
  if (!maker?.source) throw lost('no kept record of this gateway has made it.')
  if ((await store.caches.of(app)).isCold)
    throw lost('the build cache of the app was removed since.')
  const tree = await sources.tree(maker.source.digest).catch((cause: unknown) => {
    throw lost(`the source of deployment ${maker.id} is no longer kept.`, cause)
  })

  const deployment = { ...maker, options: { ...maker.options, rebuild: false } }
  const request = { ...(await planned({ deployment, tree }, deps, settings, signal)), signal }
  await deps.disk.settled(signal)
  await settings.assertIsolated(signal)
  // Under a tag of its own: a tag of the deployment must never name another image.
  const again = await buildAgain(deps, settings, request, `again-${digest.slice(7, 19)}`)
  if (again.manifest.digest !== digest)
    throw lost(
      `building deployment ${maker.id} again gave another image (${again.manifest.digest}; ${again.ran} of ${again.steps} steps were not in the build cache).`,
    )
  const tags = maker.image?.tags ?? []
  await Promise.all(tags.map((tag) => registry.tag(app, tag, again.manifest, signal)))
}

/** The registry that it came from may have another image under that name by now, or none. */
async function copyAgain(
  { app, image, requestedImage }: Deployment,
  digest: string,
  { copier }: Pick<Deps, 'copier'>,
  signal: AbortSignal,
): Promise<void> {
  const [own = `again-${digest.slice(7, 19)}`, ...others] = image?.tags ?? []
  const again = await copier.take(
    {
      app,
      image: requestedImage!,
      tags: [own, ...others],
      platform: ownPlatform,
      pinned: async () => {},
      pushing: () => {},
      emit: quiet,
    },
    signal,
  )
  if (again.digest !== digest)
    throw lost(`${requestedImage!.reference} gave another image (${again.digest}).`)
}

/** The oldest deployment with this image: later ones have reused it. */
async function makerOf({ app, digest }: Lost, store: Pick<DeploymentStore, 'list'>) {
  let maker: Deployment | null = null
  let before: string | null = null
  for (let seen = 0; seen < maxRecords; seen += page) {
    const { deployments, next }: Awaited<ReturnType<DeploymentStore['list']>> = await store.list(
      app,
      { limit: page, before },
    )
    const made = deployments.findLast(
      ({ image, source, requestedImage }) =>
        (source ?? requestedImage) !== null && image?.digest === digest,
    )
    maker = made ?? maker
    if (next === null) break
    before = next
  }
  return maker
}

/** Everything that a build needs, as the deployment had it: its config, secrets and plan. */
async function planned(
  { deployment, tree }: { deployment: Deployment; tree: Awaited<ReturnType<Sources['tree']>> },
  { store, vault }: Deps,
  { planner, plans, lookups, ...settings }: Settings,
  signal: AbortSignal,
) {
  const { app, options } = deployment
  // The secrets of a preview are its machine's.
  const secrets = deployment.preview ? new Map() : await vault.open(deployment)
  const { releases, templates } = store
  const known = { ...settings, releases, templates }
  const { build: flyBuild } = await resolveDesired(deployment, tree, known)
  const source = { app, tree, options, secretNames: [...secrets.keys()], flyBuild }
  const work = { planner: await planner(), network: lookups, cache: plans, emit: quiet }
  const plan = await planSource({ ...source, ...work, planning: () => {} }, signal)
  if (plan.builder === 'none') throw lost('the source builds no image.')
  return { deployment, tree, secrets, plan, flyBuild, emit: quiet, pushing: () => {} }
}

const lost = (why: string, cause?: unknown) => new Problem('image-gone', why, { cause })
