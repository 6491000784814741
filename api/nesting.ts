/**
 * Whether a value nests objects or lists deeper than `levels`. The check itself goes no deeper than
 * that.
 */
export function isDeeperThan(value: unknown, levels: number): boolean {
  let row: unknown[] = [value]
  for (let level = 0; ; level++) {
    const next: unknown[] = row.flatMap((each) =>
      typeof each === 'object' && each !== null ? Object.values(each) : [],
    )
    if (next.length === 0) return false
    if (level >= levels) return true
    row = next
  }
}
