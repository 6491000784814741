/**
 * Runs two ways alternately, with a different first one each round, and compares the medians of
 * their milliseconds.
 */
export async function sideBySide(
  rounds: number,
  ways: {
    before?: () => Promise<unknown>
    ours: () => Promise<number>
    theirs: () => Promise<number>
  },
): Promise<{ oursMs: number; theirsMs: number; ratio: number }> {
  const times = { ours: [] as number[], theirs: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    await ways.before?.()
    for (const who of round % 2 === 0
      ? (['ours', 'theirs'] as const)
      : (['theirs', 'ours'] as const)) {
      times[who].push(await ways[who]())
    }
    console.log(
      `  ours ${times.ours.at(-1)!.toFixed(0)} ms, theirs ${times.theirs.at(-1)!.toFixed(0)} ms`,
    )
  }
  const [oursMs, theirsMs] = [median(times.ours), median(times.theirs)]
  const ratio = Math.round((oursMs / theirsMs) * 1000) / 1000
  console.log(
    `  medians: ours ${oursMs.toFixed(0)} ms, theirs ${theirsMs.toFixed(0)} ms, ratio ${ratio}`,
  )
  return { oursMs: Math.round(oursMs), theirsMs: Math.round(theirsMs), ratio }
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
