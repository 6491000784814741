import { createHmac, randomUUID } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { secretHint } from '#api/secret.ts'
import type { Build, Solved } from '../buildkit/build.ts'
import type { Buildkit } from '../buildkit/client.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import { appLabel } from '../buildkit/image-policy.ts'
import type { EventSink } from '../deployments/event-sink.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { FlyToml } from '../flytoml/read-fly-toml.ts'
import { byteOrder } from '../go/byte-order.ts'
import type { DiskWatch } from '../host/disk/disk-watch.ts'
import { sourceTree } from '../railpack/compile/source-node.ts'
import type { PlannedSource } from '../railpack/plan-request.ts'
import { onPlan } from '../railpack/plan-work.ts'
import { imageBytes, imageIndex, builderAnnotation } from '../registry/image-index.ts'
import { refuseUnusable } from '../registry/image-parts.ts'
import type { Manifest } from '../registry/manifest.ts'
import { digestOf, type Registry } from '../registry/registry.ts'
import { type Secrets, secretsHash } from '../secrets/vault.ts'
import type { Built } from './built.ts'
import { newBytes } from './new-bytes.ts'
import { withDiskSpace } from './with-disk-space.ts'

export type BuildDeps = {
  buildkit: Buildkit
  registry: Registry
  store: Pick<DeploymentStore, 'imageOf' | 'list'>
  disk: DiskWatch
}
export type BuildSettings = {
  /** Images are `<registryHost>/<app>`. */
  registryHost: string
  /**
   * The registry repository and tag for the build cache, with `{app}` in it. Empty: no such cache.
   */
  registryCache: string
  /** Known to this gateway alone. The gateway derives each app's own key from it. */
  key: Uint8Array
}
export type ImageOrder = {
  deployment: Deployment
  tree: SourceTree
  /**
   * Given to the build steps together with the build variables. A secret wins over a variable of
   * the same name.
   */
  secrets: Secrets
  plan: PlannedSource
  /** The `[build]` section of fly.toml. */
  flyBuild: FlyToml['build']
  pushing: () => void
  emit: EventSink
  signal: AbortSignal
}

/** The platform of this machine, and of the app's machines. */
export const ownPlatform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`
/** The platforms to build an image for, as in `linux/arm64`. */
const platformsOf = ({ platform }: DeploymentOptions): string[] => [
  ...new Set(platform?.split(',') ?? [ownPlatform]),
]

/**
 * Throws `platform-unsupported` if this machine cannot build for a wanted platform. Called before
 * the build, so that the build does not fail in the middle.
 */
export async function checkPlatforms(
  buildkit: Buildkit,
  options: DeploymentOptions,
  signal: AbortSignal,
): Promise<void> {
  if (options.platform === null) return
  const { platforms } = await buildkit.info(signal)
  const foreign = platformsOf(options).find(
    (platform) => !platforms.includes(platform.replace('arm64/v8', 'arm64')),
  )
  if (!foreign) return
  const detail = `This builder cannot run programs for ${foreign}. It builds for ${platforms.join(', ')}.`
  throw new Problem('platform-unsupported', detail, { facts: { platform: foreign, platforms } })
}

/**
 * Returns the image of a source. Reuses the image of an equal earlier build; otherwise builds a new
 * one, pushes it, and reads its manifest back.
 */
export async function buildImage(
  deps: BuildDeps,
  settings: BuildSettings,
  order: ImageOrder,
): Promise<Built> {
  const { buildkit, registry, store, disk } = deps
  const { deployment, tree, plan, flyBuild, emit, signal } = order
  const { id, app, options } = deployment
  const repository = `${settings.registryHost}/${app}`
  const tags = [
    ...new Set([
      `deployment-${id}`,
      ...(options.commit ? [options.commit.slice(0, 12)] : []),
      ...options.tag,
    ]),
  ]
  const appKey = createHmac('sha256', settings.key).update(app).digest()
  const keyed = (value: unknown) =>
    createHmac('sha256', appKey).update(JSON.stringify(value)).digest('hex')
  const platforms = platformsOf(options)
  const buildArgs = { ...flyBuild.args, ...options.build }
  const target = options.target ?? flyBuild.target ?? null
  const secrets = new Map<string, string | Buffer>([
    ...Object.entries(options.build),
    ...order.secrets,
  ])
  const hash = secretsHash(secrets, appKey)
  const shape =
    plan.builder === 'railpack'
      ? [plan.planText, plan.facts.planner]
      : [plan.dockerfile, target, sorted(buildArgs)]
  const key = keyed([tree.digest, plan.builder, ...shape, hash, platforms, options.commit])
  const facts = (manifest: Manifest, sizeBytes: number | undefined) => ({
    reference: `${repository}@${manifest.digest}`,
    digest: manifest.digest,
    tags,
    builder: plan.builder,
    ...(sizeBytes !== undefined && { sizeBytes }),
  })

  const annotations = { [builderAnnotation]: plan.builder }

  const earlier = options.rebuild ? null : await store.imageOf(app, key)
  if (earlier?.image && buildkit.pinsAreCurrent(app, earlier.bases)) {
    const manifest = await registry.manifest(app, earlier.image.digest, signal)
    if (manifest) {
      await tagAll(manifest, tags)
      emit({
        type: 'note',
        text: `Nothing changed since deployment ${earlier.id}: its image is used, nothing is built.`,
      })
      return { image: facts(manifest, earlier.image.sizeBytes), bases: earlier.bases }
    }
    emit({
      type: 'note',
      text: `The image of deployment ${earlier.id} is gone from the registry; it is built again.`,
    })
  }

  const from = performance.now()
  const made: { platform: string; manifest: Manifest; solved: Solved }[] = []
  for (const platform of platforms) {
    if (platforms.length > 1) emit({ type: 'note', text: `Building for ${platform}.` })
    const tag = platforms.length > 1 ? `${tags[0]}-${platform.replaceAll('/', '-')}` : tags[0]!
    const solved = await solve(platform, tag)
    const manifest = await readBack(solved.digest)
    refuseUnusable(`${repository}:${tag}`, manifest, platform)
    made.push({ platform, manifest, solved })
  }
  let manifest = made[0]!.manifest
  if (made.length > 1) {
    const index = imageIndex(made, annotations)
    await registry.tag(app, tags[0]!, index, signal)
    manifest = await readBack(digestOf(index.bytes))
  }
  await tagAll(manifest, tags.slice(1))

  const sizeBytes = made.reduce((sum, image) => sum + imageBytes(image.manifest), 0)
  const sum = (which: 'steps' | 'cached' | 'run') =>
    made.reduce((all, { solved }) => all + solved.stats[which], 0)
  const seconds = ((performance.now() - from) / 1000).toFixed(1)
  const before = await lastImage()
  const fresh = await newBytes(
    made.map(({ manifest }) => manifest),
    before,
    (digest) => registry.manifest(app, digest, signal),
  )
  const text = `${sum('steps')} steps, ${sum('cached')} cached, ${sum('run')} run, ${seconds} s; image ${inMb(sizeBytes)}, ${inMb(fresh)} new`
  emit({ type: 'note', text })
  const ends = made.flatMap(({ solved }) => solved.validUntil ?? [])
  return {
    image: facts(manifest, sizeBytes),
    bases: Object.assign({}, ...made.map(({ solved }) => solved.bases)) as Built['bases'],
    build: { key, validUntil: ends.length > 0 ? new Date(Math.min(...ends)).toISOString() : null },
  }

  async function solve(platform: string, tag: string): Promise<Solved> {
    const cacheKey = appKey.toString('hex').slice(0, 16)
    const dockerfile =
      plan.builder === 'dockerfile' ? await readDockerfile(tree, plan.dockerfile) : null
    const planText = plan.builder === 'railpack' ? plan.planText : null
    const railpackPlan = planText === null ? null : await onPlan.needs(planText)
    using context = buildkit.serveContext(app, tree, {
      ignore: dockerfile?.ignore ?? railpackPlan?.exclude ?? [],
    })
    const source = sourceTree(context.url)

    const missing = railpackPlan?.secrets.filter((name) => !secrets.has(name)) ?? []
    if (missing.length > 0) throw secretsMissing(missing)

    const ignoreCache = options.rebuild
    // The cache key of a step leaves out the values of its secrets. Without a host name per app,
    // another app could get the step's result from the cache.
    const hostname = order.secrets.size > 0 ? cacheKey : ''
    const builtAt = new Date()
    const how = { cacheKey, secretsHash: hash, platform, source, builtAt, ignoreCache, hostname }
    const planned = planText === null ? null : await onPlan.compile(planText, how)
    for (const text of planned?.notes ?? []) emit({ type: 'note', text })

    const build: Build = dockerfile
      ? { dockerfile, target, buildArgs, platform, cacheKey, hostname, context }
      : { ...planned!, context }
    const more = {
      ref: `${id}-${randomUUID()}`,
      app,
      names: [`${repository}:${tag}`],
      labels: labelsOf(deployment),
      annotations,
      secrets,
      rebuild: options.rebuild,
      cache: settings.registryCache.replaceAll('{app}', app) || null,
      pushing: order.pushing,
    }

    return await withDiskSpace(
      disk,
      emit,
      (emit, limited) => buildkit.solve(build, { ...more, emit }, limited),
      signal,
    ).catch(confirmDenied)
  }

  /**
   * The daemon also reports a 401 on a read when the registry becomes unavailable during the login.
   * The gateway asks the registry itself, with the same login.
   */
  async function confirmDenied(error: unknown): Promise<never> {
    const reading = error instanceof Problem && /from (HEAD|GET) request/.test(error.message)
    if (!reading || error.facts['registryStatus'] !== 401) throw error
    await registry.manifest(app, tags[0]!, signal) // throws the real reason: denied or unavailable
    throw new Problem('registry-unavailable', error.message, { cause: error, facts: error.facts })
  }

  /** The digest of the image that the gateway last built for the app. */
  async function lastImage(): Promise<string | null> {
    const { deployments } = await store.list(app, { limit: 10, before: null })
    const built = deployments.find(({ image }) => image?.reference.startsWith(`${repository}@`))
    return built?.image?.digest ?? null
  }

  /** Trusts a push only when the registry returns the manifest. */
  async function readBack(digest: string): Promise<Manifest> {
    const manifest = await registry.manifest(app, digest, signal)
    if (manifest) return manifest
    throw new Problem(
      'registry-unavailable',
      `The registry does not have ${digest} although it took it.`,
    )
  }

  async function tagAll(manifest: Manifest, names: string[]): Promise<void> {
    await Promise.all(names.map((name) => registry.tag(app, name, manifest, signal)))
  }
}

const inMb = (bytes: number) => `${(bytes / 1e6).toFixed(bytes > 0 && bytes < 10e6 ? 1 : 0)} MB`
const sorted = (values: Record<string, string>) =>
  Object.entries(values).toSorted(([a], [b]) => byteOrder(a, b))

function secretsMissing(names: string[]): Problem {
  const detail = `The plan needs the secrets ${names.join(', ')}, which are not set. ${secretHint(names[0]!)}`
  return new Problem('build-failed', detail, { facts: { secrets: names } })
}

function labelsOf({ id, app, source, createdAt, options }: Deployment): Record<string, string> {
  return {
    'org.opencontainers.image.created': createdAt,
    ...(options.commit && { 'org.opencontainers.image.revision': options.commit }),
    ...(source && { 'org.opencontainers.image.source': `urn:tarmac:tree:${source.digest}` }),
    'dev.tarmac.deployment': id,
    [appLabel]: app,
  }
}
