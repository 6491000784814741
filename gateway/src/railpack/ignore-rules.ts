import { z } from 'zod'
import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import { cleanPath } from '#api/text/clean-path.ts'
import { findFile, type SourceTree } from '../deployments/source-tree.ts'
import { openSource } from '../host/read-source-file.ts'

const ignoreFile = '.dockerignore'
const defaultConfig = 'railpack.json'

/**
 * What a build by railpack leaves out, before there is a plan: the patterns of `.dockerignore`, then
 * `exclude` of railpack's config. railpack puts both into its plan. `always`: the files with these
 * rules, which the planner reads in any case.
 */
export function railpackRules(
  tree: SourceTree,
  build: Record<string, string>,
): { ignore: string[]; always: string[] } {
  const config = cleanPath(build['RAILPACK_CONFIG_FILE'] || defaultConfig)
  const read = openSource(tree)
  const text = (path: string) => read(path)?.toString('utf8') ?? ''
  const always = [ignoreFile, config].flatMap((path) => {
    const file = findFile(tree, path)
    return file ? [path, file.path] : []
  })
  return { ignore: [...parseIgnoreFile(text(ignoreFile)), ...excludeOf(text(config))], always }
}

const Config = z.object({ exclude: z.array(z.string()) })

/** railpack's config may have comments and trailing commas. railpack itself reports a bad one. */
function excludeOf(text: string): string[] {
  try {
    return Config.parse(JSON.parse(plainJson(text.replace(/^\ufeff/, '')))).exclude
  } catch {
    return []
  }
}

/** Removes comments and trailing commas. Throws at a quote or a comment without an end. */
function plainJson(text: string): string {
  const token = /("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\/|([^"/]+)/gy
  // In turn: text outside of quotes, and a quoted text.
  const parts = ['']
  while (token.lastIndex < text.length) {
    const found = token.exec(text)
    if (!found) throw new Error('It is not JSON.')
    const [, quoted, bare = ''] = found
    if (quoted) parts.push(quoted, '')
    else parts[parts.length - 1] += bare
  }
  const plain = parts.map((part, at) => (at % 2 === 0 ? withoutLastCommas(part) : part))
  return plain.join('')
}

const withoutLastCommas = (text: string): string => text.replaceAll(/,(?=\s*[}\]])/g, '')
