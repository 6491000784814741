import { Problem } from '#api/problem.ts'

/** Wildcards of one pattern: each `**` before the end, and each star of a name but the first. */
const maxWildcards = 3

/**
 * Throws `ignore-limit` for a pattern of git's that may take for ever: the library matches by regular expressions, which
 * try all ways to share out a name among its wildcards, and all ways to share out a path among `**`.
 */
export function checkGitPatterns(file: string, text: string): void {
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('#')) continue
    const names = line.replaceAll(/\\./g, '').split('/')
    const anyFolders = names.slice(0, -1).filter((name) => name.startsWith('**')).length
    const inNames = names.reduce((sum, name) => sum + Math.max(0, starsIn(name) - 1), 0)
    if (inNames + anyFolders <= maxWildcards) continue
    const detail = `The pattern in line ${index + 1} of ${file} has too many wildcards: at most ${maxWildcards} are taken, not counting the first of each name. Write it with fewer.`
    throw new Problem('ignore-limit', detail, { facts: { file, line: index + 1, limit: maxWildcards } })
  }
}

const starsIn = (name: string): number => name.match(/\*+/g)?.length ?? 0
