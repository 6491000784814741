import { Problem } from '#api/problem.ts'

/** How often one pattern may say `**` before its end. */
const maxAnyFolders = 3

/**
 * Throws `ignore-limit` for a pattern of git's that may take for ever. The library matches by regular expressions: within
 * a name they never go back, but they try all ways to share out the folders of a path among `**`.
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
