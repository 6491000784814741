import { configNames } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import { cleanPath, isOutside } from '#api/text/clean-path.ts'
import { someOf } from '#api/text/some-of.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
import { openSource, type ReadSource } from '../../host/read-source-file.ts'
import { sourceText } from '../../host/source-text.ts'

/** A name that people give to a config file. */
const likeConfig = /^fly(?:\.[\w-]+)*\.(?:toml|json|ya?ml)$/

/** The file that says what the app should run. Null: the source has none. */
export type ConfigFile = { path: string; text: string }

/**
 * Finds and reads the config file of a source: the one that option `config` names, else the first
 * of the usual ones. `warnings` name the config files that are not used.
 */
export function findConfig(
  tree: SourceTree,
  asked: string | null,
): { file: ConfigFile | null; warnings: string[] } {
  const read = openSource(tree)
  if (asked !== null) return { file: namedConfig(read, asked), warnings: [] }

  const file = firstOf(read, configNames)
  return { file, warnings: unusedWarning(tree, file) }
}

/** The file that option `config` names. As in flyctl it may name the folder of a fly.toml. */
function namedConfig(read: ReadSource, asked: string): ConfigFile {
  const path = cleanPath(asked)
  const invalid = (why: string) =>
    new Problem('option-invalid', `config is ${asked}, ${why}`, { facts: { option: 'config' } })
  if (isOutside(path))
    throw invalid("which is outside of the source. Give a path from the source's root.")

  const inFolder = path === '.' ? configNames[0]! : `${path}/${configNames[0]}`
  const file = firstOf(read, [path, inFolder])
  if (file) return file
  throw invalid('and the source has no such file. Does an ignore file exclude it?')
}

function firstOf(read: ReadSource, paths: string[]): ConfigFile | null {
  for (const path of paths) {
    const bytes = read(path)
    if (bytes)
      return { path, text: sourceText(bytes, path, 'fly-config-invalid', { strict: true }) }
  }
  return null
}

function unusedWarning({ entries }: SourceTree, file: ConfigFile | null): string[] {
  const unused = entries.flatMap(({ type, path }) =>
    path.startsWith('fly.') && type !== 'folder' && path !== file?.path && likeConfig.test(path)
      ? [path]
      : [],
  )
  if (unused.length === 0) return []

  const used = file
    ? `${file.path} is used`
    : 'without fly.toml, fly.json or fly.yaml the built-in defaults are used'
  return [
    `Not used: ${someOf(unused, maxNames)}; ${used}. To use another config file: --config ${unused[0]} (config=${unused[0]} in a request)`,
  ]
}
const maxNames = 5
