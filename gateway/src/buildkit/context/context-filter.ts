import { IgnorePatterns, type States } from '#api/dockerignore/ignore-patterns.ts'
import { judge } from '#api/dockerignore/judge.ts'
import type { TreeEntry } from '#api/tree.ts'

/** A folder above the entry at hand. */
type Folder = {
  entry: TreeEntry
  inside: string
  /** Rules that matched it, in order: they match all that is in it. */
  hits: readonly number[]
  /** Where the patterns stand behind its path and a slash. */
  states: States
  isKept: boolean
}

/**
 * What is left of a tree under docker-style patterns, as BuildKit itself would leave it: the last pattern that applies
 * to a path or to a folder above it wins; the folders above a kept entry are kept. Order stays. Throws `build-failed`
 * for a pattern that cannot be read, `ignore-limit` for too much work.
 */
export function filterEntries(
  entries: readonly TreeEntry[],
  given: readonly string[],
): readonly TreeEntry[] {
  const patterns = new IgnorePatterns(given)
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

/** Takes an entry, and the folders above it that were not taken yet. */
function keep(entry: TreeEntry, above: Folder[], kept: TreeEntry[]): void {
  // From the inside out: above a kept folder all are kept.
  const folders: TreeEntry[] = []
  for (let at = above.length - 1; at >= 0 && !above[at]!.isKept; at--) {
    above[at]!.isKept = true
    folders.push(above[at]!.entry)
  }
  kept.push(...folders.toReversed(), entry)
}
