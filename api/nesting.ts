/** Whether a value holds objects or lists inside each other on more levels than this. Looks itself at no more than that. */
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
