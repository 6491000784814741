import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path/posix'
import { IgnorePatterns, type States } from '#api/dockerignore/ignore-patterns.ts'
import { judge } from '#api/dockerignore/judge.ts'
import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'

/** The gateway reads these before the build, so .dockerignore does not apply to them. */
const needed =
  /^(?:\.dockerignore|fly\.(?:toml|json|yaml)|railpack\.json|Dockerfile(?:\..+)?|.+\.Dockerfile)$/

/**
 * A folder: the rules that matched it, and the states of the patterns after its path and a slash.
 */
export type DockerFolder = { hits: readonly number[]; states: States }

/**
 * Applies .dockerignore to a source, as BuildKit would. `named` are files that an option names:
 * they stay.
 */
export async function dockerRules(folder: string, named: (string | null)[]) {
  const text = await readFile(join(folder, '.dockerignore'), 'utf8').catch(() => '')
  const patterns = new IgnorePatterns(parseIgnoreFile(text))
  const mayComeBack = patterns.exceptions.includes(true)
  const wanted = named.flatMap((name) => (name === null ? [] : [name.replace(/^\.\//, '')]))

  const find = ({ hits, states }: DockerFolder, path: string) => {
    const behind = patterns.follow(states, basename(path))
    return { ...judge(patterns, hits, behind.matched), states: behind }
  }

  return {
    root: { hits: [], states: patterns.start },
    excludes: (outer: DockerFolder, path: string): boolean =>
      !needed.test(path) && !wanted.includes(path) && find(outer, path).isIgnored,
    /** Enters a subfolder. Null when nothing inside can be needed. */
    enter(outer: DockerFolder, path: string): DockerFolder | null {
      const { isIgnored, hits, states } = find(outer, path)
      if (isIgnored && !mayComeBack && !wanted.some((name) => name.startsWith(`${path}/`)))
        return null
      return { hits, states: patterns.follow(states, '/') }
    },
  }
}
