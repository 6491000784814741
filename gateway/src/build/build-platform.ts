import { randomUUID } from 'node:crypto'
import type { Deployment } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { Build } from '../buildkit/build.ts'
import { readDockerfile } from '../buildkit/dockerfile.ts'
import { secretHint } from '#api/secret.ts'
import { appLabel } from '../buildkit/image-policy.ts'
import { sourceTree } from '../buildkit/context/source-node.ts'
import { onPlan } from '../railpack/plan-work.ts'
import type { BuildJob } from './build-job.ts'
import { type Pushed, pushImage, type PushTarget } from './push-image.ts'
import { withDiskSpace } from './with-disk-space.ts'

/** Builds the image for one platform, pushes it under a tag, and reads it back. */
export async function buildPlatform(job: BuildJob, platform: string, tag: string): Promise<Pushed> {
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
    return await solve(job, async () => build, tag)
  }

  const needs = await onPlan.needs(plan.planText)
  using context = job.buildkit.serveContext(app, tree, { ignore: needs.exclude })
  const missing = needs.secrets.filter((name) => !inputs.values.has(name))
  if (missing.length > 0) throw secretsMissing(missing)

  // Not the present time: the same deployment gives the same image, also when it is built again.
  const builtAt = new Date(deployment.createdAt)
  let isFirst = true
  const compile = async (rebuild: boolean): Promise<Build> => {
    const { notes, ...compiled } = await onPlan.compile(plan.planText, {
      cacheKey,
      secretsHash: valuesHash,
      platform,
      source: sourceTree(context),
      builtAt,
      ignoreCache: rebuild,
      hostname,
    })
    if (isFirst) for (const text of notes) emit({ type: 'note', text })
    isFirst = false
    return { ...compiled, context }
  }
  return await solve(job, compile, tag)
}

/** `compile` makes the build. Its argument is true if no step may come from the cache. */
function solve(
  job: BuildJob,
  compile: (rebuild: boolean) => Promise<Build>,
  tag: string,
): Promise<Pushed> {
  return pushImage(job, async (target) => {
    const rebuild = job.rebuild && target.rebuild
    return solveOnce(job, await compile(rebuild), { ...target, rebuild, tag })
  })
}

function solveOnce(job: BuildJob, build: Build, target: PushTarget & { tag: string }) {
  const { deployment, disk, buildkit, registryCache, annotations, flyBuild, signal } = job
  const { id, app } = deployment
  const { repository, tag, emit, ...more } = target
  const asked = {
    ...more,
    ref: `${id}-${randomUUID()}`,
    app,
    cacheKey: job.inputs.cacheKey,
    names: [`${repository}:${tag}`],
    labels: labelsOf(deployment),
    annotations,
    compression: { type: flyBuild.compression, level: flyBuild.compressionLevel },
    secrets: job.inputs.values,
    cache: registryCache.replaceAll('{app}', app) || null,
  }
  return withDiskSpace(
    disk,
    emit,
    (emit, limited) => buildkit.solve(build, { ...asked, emit }, limited),
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
