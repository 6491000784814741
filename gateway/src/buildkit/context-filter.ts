import { posix } from 'node:path'
import { Problem } from '#api/problem.ts'
import type { TreeEntry } from '#api/tree.ts'

/**
 * What is left of a tree under docker-style patterns, as BuildKit itself would leave it: the last pattern that applies
 * to a path or to a folder above it wins; the folders above a kept entry are kept. Order stays.
 */
export function filterEntries(entries: readonly TreeEntry[], patterns: readonly string[]): readonly TreeEntry[] {
  const rules = patterns.flatMap(ruleOf)
  if (rules.length === 0) return entries
  const mayComeBack = rules.some((rule) => rule.exception)
  const kept: TreeEntry[] = []
  const above: { entry: TreeEntry; inside: string; hits: boolean[]; kept: boolean }[] = []
  let skipped = ''
  for (const entry of entries) {
    if (skipped && entry.path.startsWith(skipped)) continue
    while (above.length > 0 && !entry.path.startsWith(above.at(-1)!.inside)) above.pop()
    const { ignored, hits } = judge(entry.path, rules, above.at(-1)?.hits)
    if (!ignored) {
      for (const folder of above) {
        if (!folder.kept) kept.push(folder.entry)
        folder.kept = true
      }
      kept.push(entry)
    }
    if (entry.type !== 'folder') continue
    if (ignored && !mayComeBack) skipped = `${entry.path}/`
    else above.push({ entry, inside: `${entry.path}/`, hits, kept: !ignored })
  }
  return kept
}

type Rule = { exception: boolean; matches(path: string): boolean }

function judge(path: string, rules: Rule[], parent: boolean[] | undefined): { ignored: boolean; hits: boolean[] } {
  let ignored = false
  const hits = rules.map((rule, index) => {
    // A rule that could not change the verdict is not looked at, and counts as no hit for what lies below.
    const hit = parent?.[index] || (rule.exception === ignored && rule.matches(path))
    if (hit) ignored = !rule.exception
    return hit
  })
  return { ignored, hits }
}

function ruleOf(given: string): Rule[] {
  const trimmed = given.trim()
  if (trimmed === '') return []
  const cleaned = cleanPath(trimmed)
  const exception = cleaned.startsWith('!')
  const pattern = exception ? cleaned.slice(1) : cleaned
  try {
    if (pattern === '') throw new Error('nothing after "!"')
    if (!/[\\*?[\]]/.test(pattern)) return [{ exception, matches: (path) => path === pattern }]
    const regex = new RegExp(`^${regexOf(pattern)}$`, 'us')
    return [{ exception, matches: (path) => regex.test(path) }]
  } catch (cause) {
    const detail = `The ignore pattern ${JSON.stringify(given)} cannot be read. Correct it and deploy again.`
    throw new Problem('build-failed', detail, { cause })
  }
}

function regexOf(pattern: string): string {
  // Two stars in front of plain text also match in the middle of a name: an old habit of Docker's.
  if (/^\*\*[^/\\*?[\]][^\\*?[\]]*$/.test(pattern)) return `.*${literal(pattern.slice(2))}`
  let regex = ''
  for (const { 0: token, index } of pattern.matchAll(/\*\*\/?|\\.|\[\^?(?:\\.|[^\]\\])+\]|./gsu)) {
    if (token.startsWith('**')) regex += index + token.length === pattern.length ? '.*' : '(?:.*/)?'
    else if (token === '*') regex += '[^/]*'
    else if (token === '?') regex += '[^/]'
    else if (token === '\\' || token === '[') throw new Error(`misplaced ${token}`)
    else if (token.startsWith('\\')) regex += literal(token.slice(1))
    else if (token.startsWith('[')) regex += token.replaceAll(/\\(.)/gsu, (_, character: string) => literal(character))
    else regex += literal(token)
  }
  return regex
}

const literal = (text: string): string =>
  text.replaceAll(/[^\p{L}\p{N}_/]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)

/** The shortest spelling of a path or pattern, without a slash at its end. */
export const cleanPath = (path: string): string => posix.normalize(path).replace(/(?<=.)\/$/, '')
