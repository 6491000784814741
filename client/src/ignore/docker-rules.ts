import { basename } from 'node:path/posix'
import { IgnorePatterns, type States } from '#api/dockerignore/ignore-patterns.ts'
import { judge } from '#api/dockerignore/judge.ts'
import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import type { FolderRules } from './folder-rules.ts'

/** The gateway reads these before the build, so .dockerignore does not apply to them. */
const needed =
  /^(?:\.dockerignore|fly\.(?:toml|json|yaml)|railpack\.json|[Dd]ockerfile(?:\..+)?|.+\.Dockerfile)$/

/**
 * The rules that matched a folder, and the states of the patterns after its path and a slash.
 */
type Position = { hits: readonly number[]; states: States }

/** The rules of an ignore file, as BuildKit applies them. `file` is its name. */
export function dockerRules(file: string, text: string): FolderRules {
  const patterns = new IgnorePatterns(parseIgnoreFile(text))
  return inFolder(`by ${file}`, patterns, { hits: [], states: patterns.start })
}

function inFolder(why: string, patterns: IgnorePatterns, outer: Position): FolderRules {
  const find = (path: string) => {
    const behind = patterns.follow(outer.states, basename(path))
    return { ...judge(patterns, outer.hits, behind.matched), behind }
  }
  return {
    leftOut: (path) => (!needed.test(path) && find(path).isIgnored ? why : null),
    mayHoldMore: (path) => patterns.mayMatchException(patterns.follow(find(path).behind, '/')),
    enter(path) {
      const { hits, behind } = find(path)
      return inFolder(why, patterns, { hits, states: patterns.follow(behind, '/') })
    },
  }
}
