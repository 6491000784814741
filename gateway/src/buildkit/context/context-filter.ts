import { IgnorePatterns, type States } from '#api/dockerignore/ignore-patterns.ts'
import { judge } from '#api/dockerignore/judge.ts'
import type { TreeEntry } from '#api/tree.ts'

/** A folder above the current entry. */
type Folder = {
  entry: TreeEntry
  inside: string
  /** The patterns that matched it, in order. They match everything inside it, too. */
  hits: readonly number[]
  /** The states of the patterns after its path and a slash. */
  states: States
  isKept: boolean
}

/**
 * Filters a tree with docker-style patterns, as BuildKit does: the last pattern that matches a path
 * or a folder above it wins. The folders above a kept entry are kept. The order does not change.
 * Throws `build-failed` for an invalid pattern and `ignore-limit` for too much work.
 */
export function filterEntries(
  entries: readonly TreeEntry[],
  list: readonly string[],
): readonly TreeEntry[] {
  const patterns = new IgnorePatterns(list)
  if (patterns.exceptions.length === 0) return entries
  const mayComeBack = patterns.exceptions.includes(true)
  const kept: TreeEntry[] = []
  const above: Folder[] = []
  let skipped = ''

  for (const entry of entries) {
    if (skipped && entry.path.startsWith(skipped)) continue
    while (above.length > 0 && !entry.path.startsWith(above.at(-1)!.inside)) above.pop()
    const parent = above.at(-1)
    const states = patterns.follow(
      parent?.states ?? patterns.start,
      entry.path.slice(parent?.inside.length ?? 0),
    )
    const { isIgnored, hits } = judge(patterns, parent?.hits ?? [], states.matched)
    if (!isIgnored) keep(entry, above, kept)
    if (entry.type !== 'folder') continue
    const inside = `${entry.path}/`
    if (isIgnored && !mayComeBack) skipped = inside
    else
      above.push({ entry, inside, hits, states: patterns.follow(states, '/'), isKept: !isIgnored })
  }
  return kept
}

/** Adds an entry, and the folders above it that are not yet in `kept`. */
function keep(entry: TreeEntry, above: Folder[], kept: TreeEntry[]): void {
  // From the inside out: above a kept folder, all folders are already kept.
  const folders: TreeEntry[] = []
  for (let at = above.length - 1; at >= 0 && !above[at]!.isKept; at--) {
    above[at]!.isKept = true
    folders.push(above[at]!.entry)
  }
  kept.push(...folders.toReversed(), entry)
}
