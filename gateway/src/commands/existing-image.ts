import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { ImageSource, RequestedImage } from '#api/image-source.ts'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import type { RolloutTarget } from '#api/rollout.ts'
import { findRelease, type StoredRelease } from '../deployments/release-store.ts'
import type { DeploymentStore, NewDeployment } from '../deployments/store.ts'
import type { Sources } from '../sources/sources.ts'
import { refuseUnusable } from '../registry/image-parts.ts'
import { imageBuilder } from '../registry/image-index.ts'
import { assertMayBePublic } from '../registry/public-agent.ts'
import { type ImageReference, parseReference, referenceText } from '#api/image/reference.ts'
import type { Registry } from '../registry/registry.ts'
import { ownPlatform } from '../build/platforms.ts'
import { findDeployment } from './deployments.ts'
import { variablesOfOthers } from './owners/variables-of-others.ts'

export type ExistingImageDeps = {
  store: Pick<DeploymentStore, 'find' | 'releases'>
  sources: Pick<Sources, 'tree'>
  registry: Pick<Registry, 'manifest'>
  registryHost: string
  /** Registries that may be at private addresses: see `namedHosts`. */
  namedRegistries: ReadonlySet<string>
}
type Known = Pick<NewDeployment, 'options' | 'source' | 'from' | 'resolved'>
/** `image`: it is where machines get it. `requestedImage`: it is to be copied. */
type Found = Known & { image: ImageFacts | null; requestedImage?: RequestedImage }
type Target = RolloutTarget & {
  withoutEnv?: string[]
  /** An image of another app stays in the repository of that app. */
  inPlace?: boolean
}

/**
 * Resolves an existing image, release or deployment to what a new deployment needs. Asks the
 * gateway's registry whether the image still exists, so that nothing changes for one that is gone.
 * Images of other registries are looked for later. A plain image takes over the config of the newest
 * release.
 */
export async function fromImage(
  target: Target,
  source: ImageSource,
  deps: ExistingImageDeps,
  signal: AbortSignal,
): Promise<Found> {
  const { app, options, withoutEnv = [], inPlace = false } = target
  const { store, sources } = deps
  const { owner } = options
  const others = async (previous: Deployment | null) =>
    (await variablesOfOthers(previous, { app, owner }, store)).filter(
      (name) => !(name in options.env),
    )
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
    const found = await findImage(source.image, null, deps, signal)
    const known = { options, source: null, from, resolved: from !== null }
    return { ...known, ...toCopy(found, { app, inPlace }, deps) }
  }

  if ('release' in source) {
    if (source.app === undefined && source.owner && source.owner !== owner)
      throw new Problem(
        'option-invalid',
        `The source names a release of owner ${source.owner.slice(0, 100)}, and no app. Without an app it is one of the target itself, so say both: app ${app}, owner ${source.owner.slice(0, 100)}.`,
      )
    const [of, whose] = source.app === undefined ? [app, owner] : [source.app, source.owner ?? null]
    const release = await releaseOf(store.releases, of, whose, source.release)
    const previous = await store.find(release.deployment)
    const from = { app: of, owner: whose, release: release.number }
    const found = await findImage(release.image.reference, release.image, deps, signal)
    return {
      ...leavingOut([...withoutEnv, ...(await others(previous))], overlay(previous, options), from),
      source: null,
      resolved: true,
      ...toCopy(found, { app, inPlace }, deps),
    }
  }

  const previous = await findDeployment(store, source.deployment)
  if (!previous.image) throw new Problem('no-image', `Deployment ${previous.id} has no image.`)
  const found = await findImage(previous.image.reference, previous.image, deps, signal)
  const { source: kept, from } = await configOf(previous, sources)
  const own = leavingOut(await others(previous), overlay(previous, options), from)
  return { ...own, source: kept, resolved: true, ...toCopy(found, { app, inPlace }, deps) }
}

/** A config without these variables. The release that it is from may have them too. */
function leavingOut<From extends Deployment['from']>(
  names: string[],
  options: DeploymentOptions,
  from: From,
) {
  const env = Object.fromEntries(
    Object.entries(options.env).filter(([name]) => !names.includes(name)),
  )
  const withoutEnv = [...(from?.withoutEnv ?? []), ...names]
  return {
    options: { ...options, env },
    from: from && (withoutEnv.length > 0 ? { ...from, withoutEnv } : from),
  }
}

async function releaseOf(
  releases: ExistingImageDeps['store']['releases'],
  app: string,
  owner: string | null,
  number: number | 'newest',
): Promise<StoredRelease> {
  if (number !== 'newest') return findRelease(releases, app, owner, number)
  const newest = await releases.find(app, owner)
  if (newest) return newest
  const whose = owner === null ? app : `${owner} in ${app}`
  throw new Problem('release-not-found', `${whose} has no release yet: deploy it first.`)
}

/** The image as it is, or what to copy so that the app has it in its own repository. */
function toCopy(
  found: Awaited<ReturnType<typeof findImage>>,
  { app, inPlace }: { app: string; inPlace: boolean },
  { registryHost }: Pick<ExistingImageDeps, 'registryHost'>,
): Pick<Found, 'image' | 'requestedImage'> {
  const { reference, image } = found
  const isOthers = reference.host === registryHost && reference.repository !== app
  if (image && (inPlace || !isOthers)) return { image }
  const digest = image?.digest ?? reference.digest
  return { image: null, requestedImage: { reference: referenceText(reference), digest } }
}

export const imageGone = (reference: string) =>
  new Problem(
    'image-gone',
    `The registry has no ${reference}. Check its name and tag; if it was there, deploy its source again.`,
  )

/**
 * The app whose repository an image is in. Null: it is in no registry of the apps, or no reference,
 * which the command refuses.
 */
export function appOfImage(text: string, registryHost: string): string | null {
  try {
    const { host, repository } = parseReference(text)
    return host === registryHost ? repository.split('/', 1)[0]! : null
  } catch {
    return null
  }
}

/**
 * Finds an image of the gateway's registry, or of a release. `known`: its facts, if this gateway
 * has deployed it before. An image of another registry is null here, unless it is known: machines
 * have it from there.
 */
async function findImage(
  text: string,
  known: ImageFacts | null,
  { registry, registryHost, namedRegistries }: ExistingImageDeps,
  signal: AbortSignal,
): Promise<{ reference: ImageReference; image: ImageFacts | null }> {
  const reference = parseReference(text)
  const { host, repository, tag } = reference
  if (host !== registryHost) {
    if (!known) assertMayBePublic(host, namedRegistries)
    return { reference, image: known }
  }

  const manifest = await registry.manifest(repository, reference.digest ?? tag!, signal)
  if (!manifest) throw imageGone(text)

  if (!known) refuseUnusable(text, manifest, ownPlatform)
  const { digest } = manifest
  const builder = known?.builder ?? imageBuilder(manifest)
  const tags = tag === null ? (known?.tags ?? []) : [tag]
  const push = known?.digest === digest ? known.push : undefined
  const image = {
    reference: `${host}/${repository}@${digest}`,
    digest,
    tags,
    ...(builder && { builder }),
    ...(push && { push }),
  }
  return { reference, image }
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
    throw sourceGone(id, cause)
  })
}

export const sourceGone = (id: string, cause?: unknown): Problem =>
  new Problem('source-gone', `The source of deployment ${id} is no longer kept. Send it again.`, {
    cause,
  })

/**
 * Overlays the given options on those of an earlier deployment. Options that are null, such as
 * commit and region, keep their earlier value. Build options and tag always do; owner, lane, count,
 * ci-run and `force-over` never do.
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
    'ci-run': own['ci-run'],
    'force-over': own['force-over'],
  }
  return { ...options, ...set, env, build: options.build, tag: options.tag, ...neverInherited }
}
