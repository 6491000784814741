/**
 * Whether a value nests objects or lists deeper than `levels`. The check itself goes no deeper than
 * that.
 */
export function isDeeperThan(value: unknown, levels: number): boolean {
  let row = [value]
  for (let level = 0; ; level++) {
    const next: unknown[] = []
    for (const each of row)
      if (typeof each === 'object' && each !== null)
        for (const inside of Object.values(each)) next.push(inside)
    if (next.length === 0) return false
    if (level >= levels) return true
    row = next
  }
}
