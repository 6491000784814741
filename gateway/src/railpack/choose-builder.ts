import { cleanPath } from '#api/text/clean-path.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { hasFile, type SourceTree } from '../deployments/source-tree.ts'

/**
 * The builder of a source, and the reason. `plan` and `dockerfile` are normalized paths in the
 * source.
 */
type BuilderChoice =
  | { builder: 'railpack'; reason: string; plan: string | null }
  | { builder: 'dockerfile'; reason: string; dockerfile: string }

/** The sender's options come first, then fly.toml, then the files of the source. */
export function chooseBuilder(
  tree: SourceTree,
  options: Pick<DeploymentOptions, 'plan' | 'dockerfile' | 'build'>,
  flyBuild?: { image?: string; dockerfile?: string },
): BuilderChoice {
  if (options.plan !== null && options.dockerfile !== null) {
    throw new Problem(
      'option-invalid',
      'Both plan and dockerfile are given. Leave one of them out.',
    )
  }

  if (options.plan !== null) {
    const plan = fileOf(tree, options.plan, 'plan', 'option-invalid')
    return { builder: 'railpack', reason: `asked for by plan=${plan}`, plan }
  }
  if (options.dockerfile !== null) {
    const dockerfile = fileOf(tree, options.dockerfile, 'dockerfile', 'option-invalid')
    return { builder: 'dockerfile', reason: `asked for by dockerfile=${dockerfile}`, dockerfile }
  }

  const config = options.build['RAILPACK_CONFIG_FILE']
  if (config) {
    fileOf(tree, config, 'build.RAILPACK_CONFIG_FILE', 'option-invalid')
    return {
      builder: 'railpack',
      reason: `asked for by build.RAILPACK_CONFIG_FILE=${config}`,
      plan: null,
    }
  }

  if (flyBuild?.image !== undefined) {
    const detail = `[build] image in fly.toml names ${flyBuild.image}, and the upload has a source, which would be ignored. Deploy the image without a source: POST /v1/apps/{app}/deployments with {"source": {"image": "…"}} (images of the gateway's registry only). Or remove the line.`
    throw new Problem('fly-config-invalid', detail, { facts: { key: 'build.image' } })
  }
  if (flyBuild?.dockerfile !== undefined) {
    const dockerfile = fileOf(
      tree,
      flyBuild.dockerfile,
      '[build] dockerfile in fly.toml',
      'fly-config-invalid',
    )
    return { builder: 'dockerfile', reason: `[build] in fly.toml names ${dockerfile}`, dockerfile }
  }

  if (hasFile(tree, 'railpack.json'))
    return { builder: 'railpack', reason: 'railpack.json at the root', plan: null }
  if (hasFile(tree, 'Dockerfile')) {
    return { builder: 'dockerfile', reason: 'Dockerfile at the root', dockerfile: 'Dockerfile' }
  }
  return { builder: 'railpack', reason: 'no Dockerfile at the root', plan: null }
}

/** Whether a path leads out of the source. */
const isOutside = (path: string): boolean => /^(\/|\.\.(\/|$))/.test(cleanPath(path))

function fileOf(tree: SourceTree, requested: string, name: string, code: ProblemCode): string {
  const path = cleanPath(requested)
  if (isOutside(requested)) {
    throw new Problem(
      code,
      `${name} is ${requested}, which is outside of the source. Give a path from the root of the source.`,
    )
  }
  if (!hasFile(tree, path)) {
    throw new Problem(
      code,
      `${name} is ${requested}, and the source has no such file. Does an ignore file exclude it?`,
    )
  }
  return path
}
