import type { IgnorePatterns } from './ignore-patterns.ts'

/** Steps to count per rule that matches an entry. */
const ruleCost = 4

/**
 * Whether an entry is ignored, and which rules matched it: the last one wins. A rule that matches a
 * folder also matches everything inside. `inherited` are the rules that matched the folder above,
 * `matched` those that match the path itself. Both are in order.
 */
export function judge(
  patterns: IgnorePatterns,
  inherited: readonly number[],
  matched: readonly number[],
): { isIgnored: boolean; hits: readonly number[] } {
  let isIgnored = false
  const hits: number[] = []
  let [i, m] = [0, 0]

  while (i < inherited.length || m < matched.length) {
    const rule = Math.min(inherited[i] ?? Infinity, matched[m] ?? Infinity)
    const isInherited = inherited[i] === rule
    if (isInherited) i++
    if (matched[m] === rule) m++
    // A rule that cannot change the verdict is skipped. It does not count as a match for the content
    // of a folder either.
    if (!isInherited && patterns.exceptions[rule] !== isIgnored) continue
    hits.push(rule)
    isIgnored = !patterns.exceptions[rule]
  }

  patterns.spend(ruleCost * (inherited.length + matched.length))
  return { isIgnored, hits }
}
