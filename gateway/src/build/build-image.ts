import type { Deployment, ImageFacts, PushFacts } from '#api/deployment.ts'
import { inMb } from '#api/text/in-mb.ts'
import { builderAnnotation, imageIndex } from '../registry/image-index.ts'
import { refuseUnusable } from '../registry/image-parts.ts'
import type { BuildJob } from './build-job.ts'
import { buildPlatform } from './build-platform.ts'
import { readBack } from './push-image.ts'
import { imageInputs } from './image-key.ts'
import type { BuildDeps, BuildSettings, Built, BuildRequest } from './build-request.ts'
import { imageBytes, newBytes } from './image-sizes.ts'

/**
 * Returns the image of a source. Reuses the image of an equal earlier build; otherwise builds a new
 * one, pushes it, and reads its manifest back.
 */
export async function buildImage(
  deps: BuildDeps,
  settings: BuildSettings,
  request: BuildRequest,
): Promise<Built> {
  const { deployment, emit } = request
  const { generation, isCold } = await deps.store.caches.of(deployment.app)
  if (isCold)
    emit({ type: 'note', text: `The build cache of ${deployment.app} was removed: all steps run.` })
  const rebuild = deployment.options.rebuild || isCold
  const tags = imageTags(deployment)
  const job = { ...jobOf(deps, settings, request, generation), rebuild, tags }
  const reused = await reuseImage(job)
  if (reused) return reused
  const built = await newImage(job)
  if (isCold) await deps.store.caches.noteBuilt(deployment.app, generation)
  return built
}

/** Builds an image again, whatever the registry has, and pushes it under this tag alone. */
export async function buildAgain(
  deps: BuildDeps,
  settings: BuildSettings,
  request: BuildRequest,
  tag: string,
) {
  const { generation } = await deps.store.caches.of(request.deployment.app)
  const job: BuildJob = { ...jobOf(deps, settings, request, generation), tags: [tag] }
  const { images, manifest } = await pushImages(job)
  const sum = (which: 'steps' | 'run') =>
    images.reduce((all, { solved }) => all + solved.stats[which], 0)
  return { manifest, steps: sum('steps'), ran: sum('run') }
}

function jobOf(
  deps: BuildDeps,
  { registryHost, registryCache, key }: BuildSettings,
  request: BuildRequest,
  generation: number,
): Omit<BuildJob, 'tags'> {
  return {
    ...deps,
    ...request,
    registryCache,
    rebuild: false,
    inputs: imageInputs(request, key, generation),
    repository: `${registryHost}/${request.deployment.app}`,
    annotations: { [builderAnnotation]: request.plan.builder },
  }
}

/** The tags of a deployment's image: its own first. */
export function imageTags({ id, options: { commit, tag } }: Deployment): BuildJob['tags'] {
  const own = `deployment-${id}`
  const others = new Set([...(commit ? [commit.slice(0, 12)] : []), ...tag])
  others.delete(own)
  return [own, ...others]
}

/** The image of an equal earlier build, if there is one and the registry still has it. */
async function reuseImage(job: BuildJob): Promise<Built | null> {
  const { buildkit, registry, store, inputs, tags, emit, signal } = job
  const { app } = job.deployment
  const earlier = job.rebuild ? null : await store.imageOf(app, inputs.key)
  if (!earlier?.image || !buildkit.pinsAreCurrent(app, earlier.bases)) return null

  const note = (text: string) => emit({ type: 'note', text })
  const manifest = await registry.manifest(app, earlier.image.digest, signal)
  if (!manifest) {
    note(`The image of deployment ${earlier.id} is gone from the registry; it is built again.`)
    return null
  }
  await Promise.all(tags.map((name) => registry.tag(app, name, manifest, signal)))
  note(`Nothing changed since deployment ${earlier.id}: its image is reused.`)
  return {
    image: factsOf(job, manifest.digest, earlier.image),
    bases: earlier.bases,
  }
}

async function newImage(job: BuildJob): Promise<Built> {
  const { deployment, registry, inputs, tags, emit, signal } = job
  const from = performance.now()
  const { images, manifest } = await pushImages(job)
  const others = tags.slice(1)
  await Promise.all(others.map((name) => registry.tag(deployment.app, name, manifest, signal)))

  const sizeBytes = images.reduce((sum, image) => sum + imageBytes(image.manifest), 0)
  const seconds = ((performance.now() - from) / 1000).toFixed(1)
  const fresh = await freshBytes(job, images)
  const sum = (which: 'steps' | 'cached' | 'run') =>
    images.reduce((all, { solved }) => all + solved.stats[which], 0)
  const text = `${sum('steps')} steps, ${sum('cached')} cached, ${sum('run')} run, ${seconds} s; image ${imageMb(sizeBytes)}, ${imageMb(fresh)} new`
  emit({ type: 'note', text })

  const ends = images.flatMap(({ solved }) => solved.validUntil ?? [])
  const validUntil = ends.length > 0 ? new Date(Math.min(...ends)).toISOString() : null
  return {
    image: factsOf(job, manifest.digest, { sizeBytes, push: pushOf(images) }),
    bases: Object.fromEntries(images.flatMap(({ solved }) => Object.entries(solved.bases))),
    build: { key: inputs.key, validUntil },
  }
}

/** Builds for every platform, and pushes under the first tag. */
async function pushImages(job: BuildJob) {
  const images: PlatformImage[] = []
  for (const platform of job.inputs.platforms) images.push(await platformImage(job, platform))
  const manifest = images.length > 1 ? await pushIndex(job, images) : images[0]!.manifest
  return { images, manifest }
}
/** The push of one image, or of the images of several platforms, which never use the mirror. */
const pushOf = (images: PlatformImage[]): PushFacts => ({
  ...images[0]!.push,
  ms: images.reduce((sum, { push }) => sum + push.ms, 0),
})

type PlatformImage = Awaited<ReturnType<typeof platformImage>>

async function platformImage(job: BuildJob, platform: string) {
  const { inputs, repository, tags, emit } = job
  const several = inputs.platforms.length > 1
  if (several) emit({ type: 'note', text: `Building for ${platform}.` })
  const tag = several ? `${tags[0]}-${platform.replaceAll('/', '-')}` : tags[0]
  const { manifest, solved, push } = await buildPlatform(job, platform, tag)
  refuseUnusable(`${repository}:${tag}`, manifest, platform)
  return { platform, manifest, solved, push }
}

/** Puts the images of all platforms under one tag. */
async function pushIndex(job: BuildJob, images: PlatformImage[]) {
  const { deployment, registry, tags, annotations, signal } = job
  const index = imageIndex(images, annotations)
  await registry.tag(deployment.app, tags[0], index, signal)
  return readBack(job, index.digest)
}

/** How many bytes the image that the gateway last built for the app does not have. */
async function freshBytes(job: BuildJob, images: PlatformImage[]): Promise<number> {
  const { deployment, registry, store, repository, signal } = job
  const { app } = deployment
  const { deployments } = await store.list(app, { limit: 10, before: null })
  const built = deployments.find(({ image }) => image?.reference.startsWith(`${repository}@`))
  return newBytes(
    images.map(({ manifest }) => manifest),
    built?.image?.digest ?? null,
    (digest) => registry.manifest(app, digest, signal),
  )
}

function factsOf(
  { repository, tags, plan }: BuildJob,
  digest: string,
  { sizeBytes, push }: Pick<ImageFacts, 'sizeBytes' | 'push'>,
): ImageFacts {
  return {
    reference: `${repository}@${digest}`,
    digest,
    tags,
    builder: plan.builder,
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(push && { push }),
  }
}

const imageMb = (bytes: number) => inMb(bytes, bytes > 0 && bytes < 10e6 ? 1 : 0)
