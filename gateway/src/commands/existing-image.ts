import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import { findRelease } from '../deployments/release-store.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import type { Sources } from '../sources/sources.ts'
import { refuseUnusable } from '../registry/image-parts.ts'
import { imageBuilder } from '../registry/image-index.ts'
import type { Registry } from '../registry/registry.ts'
import { ownPlatform } from '../build/platforms.ts'
import { findDeployment } from './deployments.ts'

export type ExistingImageDeps = {
  store: Pick<DeploymentStore, 'find' | 'releases'>
  sources: Pick<Sources, 'tree'>
  registry: Pick<Registry, 'manifest'>
  registryHost: string
}
type Found = Pick<NewDeployment, 'options' | 'source' | 'from' | 'resolved'> & { image: ImageFacts }

/**
 * Resolves an existing image, release or deployment to what a new deployment needs. Asks the
 * registry whether the image still exists, so that nothing changes for one that is gone. A plain
 * image takes over the config of the newest release.
 */
export async function fromImage(
  { app, options, withoutEnv }: RolloutTarget & { withoutEnv?: string[] },
  source: ImageSource,
  deps: ExistingImageDeps,
  signal: AbortSignal,
): Promise<Found> {
  const { store, sources } = deps
  const { owner } = options
  if (!options.deploy)
    throw new Problem('option-invalid', 'deploy=false with an existing image leaves nothing to do.')

  if (options.config !== null)
    throw new Problem(
      'option-invalid',
      'The option config names a file of a source, and a deployment of an image that exists has none.',
    )

  if ('image' in source) {
    const runs = (await store.releases.find(app, owner)) ?? (await store.releases.find(app, null))
    const from = runs && { app, owner: runs.owner, release: runs.number }
    const image = await findImage(source.image, null, deps, signal)
    return { options, source: null, from, resolved: from !== null, image }
  }

  if ('release' in source) {
    const [of, whose] = source.app === undefined ? [app, owner] : [source.app, source.owner ?? null]
    const release = await findRelease(store.releases, of, whose, source.release)
    const previous = await store.find(release.deployment)
    const overlaid = overlay(previous, options)
    return {
      options: { ...overlaid, env: omit(overlaid.env, withoutEnv) },
      source: null,
      from: { app: of, owner: whose, release: release.number, ...(withoutEnv && { withoutEnv }) },
      resolved: true,
      image: await findImage(release.image.reference, release.image, deps, signal),
    }
  }

  const previous = await findDeployment(store, source.deployment)
  if (!previous.image) throw new Problem('no-image', `Deployment ${previous.id} has no image.`)
  const image = await findImage(previous.image.reference, previous.image, deps, signal)
  const config = await configOf(previous, sources)
  return { options: overlay(previous, options), ...config, resolved: true, image }
}

const omit = (env: Record<string, string>, names: string[] = []) =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))

export const imageGone = (reference: string) =>
  new Problem('image-gone', `The registry has no ${reference} any more. Deploy its source again.`)

/** The app whose repository an image is in. Null: it is in no registry of the apps. */
export function appOfImage(reference: string, registryHost: string): string | null {
  const own = `${registryHost}/`
  return reference.startsWith(own)
    ? (/^[^/:@]*/.exec(reference.slice(own.length))?.[0] ?? '')
    : null
}

/** Finds an image in the registry. `known`: its facts, if this gateway has deployed it before. */
async function findImage(
  reference: string,
  known: ImageFacts | null,
  { registry, registryHost }: Pick<ExistingImageDeps, 'registry' | 'registryHost'>,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const [, host, repository = '', tag, named] =
    /^([^/]+)\/([\w./-]+?)(?::([\w.-]+))?(?:@(sha256:[\da-f]{64}))?$/.exec(reference) ?? []
  // `mine/../other` would be a path to the repository of another app.
  if (host !== registryHost || !repository.split('/').every((part) => /^\w/.test(part)))
    throw new Problem(
      'option-invalid',
      `The gateway deploys only images of its own registry: ${registryHost}/<app>:<tag>, or @sha256:<digest>.`,
      { facts: { option: 'source.image' } },
    )

  const manifest = await registry.manifest(repository, named ?? tag ?? 'latest', signal)
  if (!manifest) throw imageGone(reference)

  if (!known) refuseUnusable(reference, manifest, ownPlatform)
  const { digest } = manifest
  const builder = known?.builder ?? imageBuilder(manifest)
  const tags = tag === undefined ? (known?.tags ?? []) : [tag]
  const push = known?.digest === digest ? known.push : undefined
  return {
    reference: `${host}/${repository}@${digest}`,
    digest,
    tags,
    ...(builder && { builder }),
    ...(push && { push }),
  }
}

/** Where an earlier deployment's config is: its own release, else its `from`, else its source. */
export async function configOf(
  { id, app, owner, release, from, source }: Deployment,
  sources: ExistingImageDeps['sources'],
): Promise<Pick<NewDeployment, 'source'> & { from: Deployment['from'] }> {
  if (release !== null) return { source: null, from: { app, owner, release } }
  if (source) await assertSourceRetained(sources, id, source.digest)
  return { source: from ? null : source, from }
}

/** Throws `source-gone` if the source, which holds the config, is no longer kept. */
export async function assertSourceRetained(
  sources: Pick<Sources, 'tree'>,
  id: string,
  digest: string,
): Promise<void> {
  await sources.tree(digest).catch((cause: unknown) => {
    throw new Problem(
      'source-gone',
      `The source of deployment ${id} is no longer kept. Send it again.`,
      { cause },
    )
  })
}

/**
 * Overlays the given options on those of an earlier deployment. Options that are null, such as
 * commit and region, keep their earlier value. Build options and tag always do; owner, lane, count
 * and `force-over` never do.
 */
function overlay(previous: Deployment | null, own: DeploymentOptions): DeploymentOptions {
  if (!previous) return own
  const set = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null))
  const { options } = previous
  const env = { ...options.env, ...own.env }
  const neverInherited = {
    owner: own.owner,
    lane: own.lane,
    count: own.count,
    'force-over': own['force-over'],
  }
  return { ...options, ...set, env, build: options.build, tag: options.tag, ...neverInherited }
}
