import { someOf } from '#api/text/some-of.ts'
import type { LeftOut } from '../deploy/list-source.ts'

const namesShown = 5
const dependencies = 'as dependencies'

/** One line for each rule: what it left out of the source. */
export const leftOutLines = (leftOut: readonly LeftOut[], shown = namesShown): string[] =>
  byRule(leftOut).map(({ rule, paths }) => `left out ${rule}: ${someOf(paths, shown)}`)

/** What each rule left out, as in "by .gitignore". A folder stands for all inside it. */
export function byRule(leftOut: readonly LeftOut[]): { rule: string; paths: string[] }[] {
  const rules = [...new Set(leftOut.map(({ why }) => why))]
  const ofFiles = rules.filter((rule) => rule !== dependencies)
  return [...ofFiles, ...rules.filter((rule) => rule === dependencies)].map((rule) => ({
    rule,
    paths: leftOut.filter(({ why }) => why === rule).map(({ path }) => path),
  }))
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
