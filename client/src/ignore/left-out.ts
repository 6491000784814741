import { someOf } from '#api/text/some-of.ts'
import type { LeftOut } from '../deploy/list-source.ts'

const namesShown = 5
const dependencies = 'as dependencies'

/** One line for each ignore file: what it left out of the source. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  const reasons = [...new Set(leftOut.map(({ why }) => why))]
  const ofFiles = reasons.filter((why) => why !== dependencies)
  return [...ofFiles, ...reasons.filter((why) => why === dependencies)].map((why) => {
    const paths = leftOut.filter((each) => each.why === why).map(({ path }) => path)
    return `left out ${why}: ${someOf(paths, namesShown)}`
  })
}

/**
 * A hint for a failed build whose last words name something that was left out of the source. Null:
 * they name nothing of it.
 */
export function leftOutHint(leftOut: readonly LeftOut[], words: string): string | null {
  const found = leftOut.find(({ path, why }) => why !== dependencies && isNamed(path, words))
  if (!found) return null
  const path = found.path.replace(/\/$/, '')
  return `${found.path} was left out ${found.why}. If the build needs it, send it with --include ${path}, or change that file.`
}

/** Whether a text has this path as a word of its own, quoted or with a slash before it. */
function isNamed(entry: string, words: string): boolean {
  const path = entry.replace(/\/$/, '')
  for (let at = words.indexOf(path); at >= 0; at = words.indexOf(path, at + 1)) {
    const [before = ' ', after = ' '] = [words[at - 1], words[at + path.length]]
    if (!/[\w.-]/.test(before) && !/[\w-]/.test(after)) return true
  }
  return false
}
