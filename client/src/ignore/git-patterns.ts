import { Problem } from '#api/problem.ts'

/** How many `**` one pattern may have before its end. */
const maxAnyFolders = 3

/**
 * Throws `ignore-limit` for a git pattern that could take extremely long. The library uses regular
 * expressions. They do not backtrack within a name, but try all ways to distribute a path's folders
 * among the `**`.
 */
export function checkGitPatterns(file: string, text: string): void {
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('#')) continue
    const anyFolders = line.split('/').slice(0, -1).filter(isAnyFolders).length
    if (anyFolders <= maxAnyFolders) continue
    const detail = `The pattern in line ${index + 1} of ${file} has ** too often: at most ${maxAnyFolders} times before its end. Write it with fewer.`
    throw new Problem('ignore-limit', detail, {
      facts: { file, line: index + 1, limit: maxAnyFolders },
    })
  }
}

const isAnyFolders = (name: string): boolean => /^!?\*\*/.test(name)
