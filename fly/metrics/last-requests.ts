/** Points of Unix seconds and a value, oldest first. */
type Counted = { metric: Record<string, string>; values: [at: number, value: string][] }

/**
 * When each app answered its last request: the last step at which a counter of its responses grew, in
 * Unix seconds. A counter that fell began again. One that appears within the range began there. An app
 * without a request is missing.
 */
export function lastGrowth(
  lines: readonly Counted[],
  { from, step }: { from: number; step: number },
): Map<string, number> {
  const last = new Map<string, number>()
  for (const { metric, values } of lines) {
    const app = metric['app'] ?? ''
    // What is there at the first steps was counted before.
    let before = values[0] && values[0][0] <= from + step ? Number(values[0][1]) : 0
    for (const [at, text] of values) {
      const value = Number(text)
      const grew = value > before || (value < before && value > 0)
      if (grew && at > (last.get(app) ?? 0)) last.set(app, at)
      before = value
    }
  }
  return last
}
