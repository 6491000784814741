import { cleanPath } from '#api/text/clean-path.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { hasFile, linkTarget, type SourceTree } from '../deployments/source-tree.ts'

/**
 * The builder of a source, and the reason. `plan` and `dockerfile` are normalized paths in the
 * source. A link may be there.
 */
export type BuilderChoice =
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
    const dockerfile = dockerfileOf(tree, options.dockerfile, 'dockerfile', 'option-invalid')
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
    const detail = `[build] image in fly.toml names ${flyBuild.image}, and the upload has a source, which would be ignored. Deploy the image without a source: POST /v1/apps/{app}/deployments with {"source": {"image": "…"}} (images of this builder's registry only), or take the line out.`
    throw new Problem('fly-config-invalid', detail, { facts: { key: 'build.image' } })
  }
  if (flyBuild?.dockerfile !== undefined) {
    const dockerfile = dockerfileOf(
      tree,
      flyBuild.dockerfile,
      '[build] dockerfile in fly.toml',
      'fly-config-invalid',
    )
    return { builder: 'dockerfile', reason: `[build] in fly.toml names ${dockerfile}`, dockerfile }
  }

  if (hasFile(tree, 'railpack.json'))
    return { builder: 'railpack', reason: 'railpack.json at the root', plan: null }
  const dockerfile = ['Dockerfile', 'dockerfile'].find((path) => hasFile(tree, path))
  if (dockerfile) return { builder: 'dockerfile', reason: `${dockerfile} at the root`, dockerfile }
  return { builder: 'railpack', reason: 'no Dockerfile at the root', plan: null }
}

/** Whether a path leads out of the source. */
const isOutside = (path: string): boolean => /^(\/|\.\.(\/|$))/.test(cleanPath(path))

/** Like BuildKit, takes `dockerfile` in the place of a missing `Dockerfile`. */
function dockerfileOf(tree: SourceTree, asked: string, name: string, code: ProblemCode): string {
  const lower = asked.replace(/(^|\/)Dockerfile$/, '$1dockerfile')
  const isLower = !hasFile(tree, cleanPath(asked)) && hasFile(tree, cleanPath(lower))
  return fileOf(tree, isLower ? lower : asked, name, code)
}

function fileOf(tree: SourceTree, asked: string, name: string, code: ProblemCode): string {
  const path = cleanPath(asked)
  if (isOutside(asked)) {
    throw new Problem(
      code,
      `${name} is ${asked}, which is outside of the source. Give a path from the source's root.`,
    )
  }
  if (!hasFile(tree, path)) {
    const target = linkTarget(tree, path)
    const why =
      target === null
        ? 'Is it left out by an ignore file?'
        : `It is a link to ${target}, which is no file of the source: send that file too.`
    throw new Problem(code, `${name} is ${asked}, and the source holds no such file. ${why}`)
  }
  return path
}
