import { randomUUID } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Build } from '../buildkit/build.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import { secretHint } from '#api/secret.ts'
import { appLabel } from '../buildkit/image-policy.ts'
import { sourceTree } from '../buildkit/context/source-node.ts'
import { onPlan } from '../railpack/plan-work.ts'
import type { ImageInputs } from './image-key.ts'
import type { BuildDeps, BuildSettings, BuildRequest } from './build-request.ts'
import { withDiskSpace } from './with-disk-space.ts'

/** All that the parts of one build share. */
export type BuildJob = BuildDeps &
  Pick<BuildSettings, 'registryCache'> &
  BuildRequest & {
    inputs: ImageInputs
    /** Run every step again, whatever is cached. */
    rebuild: boolean
    /** `host/app` */
    repository: string
    /** The first one is the deployment's own. */
    tags: [string, ...string[]]
    /** For the manifest and, over several platforms, the index. */
    annotations: Record<string, string>
  }

/** Builds the image for one platform, and pushes it under a tag. */
export async function buildPlatform(job: BuildJob, platform: string, tag: string) {
  const { deployment, tree, plan, inputs, flyBuild, emit } = job
  const { app } = deployment
  const { cacheKey, target, buildArgs, valuesHash } = inputs
  // The cache key of a step leaves out the values of its secrets. Without a host name per app,
  // another app could get the step's result from the cache.
  const hostname = job.secrets.size > 0 ? cacheKey : ''

  if (plan.builder === 'dockerfile') {
    const dockerfile = await readDockerfile(tree, plan.dockerfile, flyBuild.ignorefile)
    using context = job.buildkit.serveContext(app, tree, dockerfile)
    const build = { dockerfile, target, buildArgs, platform, cacheKey, hostname, context }
    return await solve(job, build, tag)
  }

  const needs = await onPlan.needs(plan.planText)
  using context = job.buildkit.serveContext(app, tree, { ignore: needs.exclude })
  const missing = needs.secrets.filter((name) => !inputs.values.has(name))
  if (missing.length > 0) throw secretsMissing(missing)

  const { notes, ...compiled } = await onPlan.compile(plan.planText, {
    cacheKey,
    secretsHash: valuesHash,
    platform,
    source: sourceTree(context.url),
    // Not the present time: the same deployment gives the same image, also when it is built again.
    builtAt: new Date(deployment.createdAt),
    ignoreCache: job.rebuild,
    hostname,
  })
  for (const text of notes) emit({ type: 'note', text })
  return await solve(job, { ...compiled, context }, tag)
}

function solve(job: BuildJob, build: Build, tag: string) {
  const { deployment, disk, buildkit, registryCache, repository, annotations, flyBuild, signal } =
    job
  const { id, app } = deployment
  const more = {
    ref: `${id}-${randomUUID()}`,
    app,
    cacheKey: job.inputs.cacheKey,
    names: [`${repository}:${tag}`],
    labels: labelsOf(deployment),
    annotations,
    compression: { type: flyBuild.compression, level: flyBuild.compressionLevel },
    secrets: job.inputs.values,
    rebuild: job.rebuild,
    cache: registryCache.replaceAll('{app}', app) || null,
    pushing: job.pushing,
  }
  return withDiskSpace(
    disk,
    job.emit,
    (emit, limited) => buildkit.solve(build, { ...more, emit }, limited),
    signal,
  ).catch((error: unknown) => confirmDenied(job, error))
}

/**
 * The daemon also reports a 401 on a read when the registry becomes unavailable during the login.
 * The gateway asks the registry itself, with the same login.
 */
async function confirmDenied(
  { deployment, registry, tags, signal }: BuildJob,
  error: unknown,
): Promise<never> {
  const reading = error instanceof Problem && /from (HEAD|GET) request/.test(error.message)
  if (!reading || error.facts['registryStatus'] !== 401) throw error
  await registry.manifest(deployment.app, tags[0], signal) // throws the real reason: denied or unavailable
  throw new Problem('registry-unavailable', error.message, { cause: error, facts: error.facts })
}

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
