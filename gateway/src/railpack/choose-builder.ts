import { errorMessage } from '#api/error-code.ts'
import { cleanPath, isOutside } from '#api/text/clean-path.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { parseReference } from '#api/image/reference.ts'
import { hasFile, linkTarget, type SourceTree } from '../deployments/source-tree.ts'

/**
 * The builder of a source, and the reason. `plan` and `dockerfile` are normalized paths in the
 * source. A link may be there.
 */
type BuilderChoice =
  | { builder: 'railpack'; reason: string; plan: string | null }
  | { builder: 'dockerfile'; reason: string; dockerfile: string }
  | { builder: 'none'; reason: string; image: string }

type FlyBuild = { image?: string; dockerfile?: string; ignorefile?: string }
type Options = Pick<DeploymentOptions, 'plan' | 'dockerfile' | 'build'>

/** The sender's options come first, then fly.toml, then the files of the source. */
export function chooseBuilder(
  tree: SourceTree,
  options: Options,
  flyBuild?: FlyBuild,
): BuilderChoice {
  const choice = choose(tree, options, flyBuild)
  const { ignorefile } = flyBuild ?? {}
  if (ignorefile === undefined) return choice

  const name = '[build] ignorefile in fly.toml'
  fileOf(tree, ignorefile, name, 'fly-config-invalid')
  if (choice.builder !== 'railpack') return choice
  const detail = `${name} is ${ignorefile}. It is for builds with a Dockerfile, and railpack builds this source (${choice.reason}). Put its patterns into .dockerignore and take the line out, or add a Dockerfile.`
  throw new Problem('fly-config-invalid', detail, { facts: { key: 'build.ignorefile' } })
}

function choose(tree: SourceTree, options: Options, flyBuild?: FlyBuild): BuilderChoice {
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
    const { image } = flyBuild
    assertReference(image)
    return { builder: 'none', reason: `[build] in fly.toml names the image ${image}`, image }
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

function assertReference(image: string): void {
  try {
    parseReference(image)
  } catch (cause) {
    throw new Problem('fly-config-invalid', `[build] image in fly.toml: ${errorMessage(cause)}`, {
      cause,
      facts: { key: 'build.image' },
    })
  }
}

/** Like BuildKit, takes `dockerfile` in the place of a missing `Dockerfile`. */
function dockerfileOf(
  tree: SourceTree,
  requested: string,
  name: string,
  code: ProblemCode,
): string {
  const lower = requested.replace(/(^|\/)Dockerfile$/, '$1dockerfile')
  const isLower = !hasFile(tree, cleanPath(requested)) && hasFile(tree, cleanPath(lower))
  return fileOf(tree, isLower ? lower : requested, name, code)
}

function fileOf(tree: SourceTree, requested: string, name: string, code: ProblemCode): string {
  const path = cleanPath(requested)
  if (isOutside(requested)) {
    throw new Problem(
      code,
      `${name} is ${requested}, which is outside of the source. Give a path from the root of the source.`,
    )
  }
  if (!hasFile(tree, path)) {
    const target = linkTarget(tree, path)
    const why =
      target === null
        ? 'Does an ignore file exclude it?'
        : `It is a link to ${target}, which is no file of the source: send that file too.`
    throw new Problem(code, `${name} is ${requested}, and the source has no such file. ${why}`)
  }
  return path
}
