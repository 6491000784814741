/** A gap of this length means that the machine slept or its clock jumped. It is not counted. */
const maxGapMs = 15 * 60_000
const dayMs = 86_400_000

export type CostShare<Work> = { day: string; work: Work | null; machineMs: number }

/**
 * Shares the time from one moment to another evenly among the deployments that were at work in it.
 * Without any, nobody pays (`work: null`). Time is split at midnight, UTC.
 */
export function costShares<Work>(
  fromMs: number,
  toMs: number,
  atWork: readonly Work[],
): CostShare<Work>[] {
  if (toMs <= fromMs || toMs - fromMs > maxGapMs) return []
  const payers = atWork.length > 0 ? atWork : [null]
  const shares: CostShare<Work>[] = []
  for (let at = fromMs; at < toMs;) {
    const next = Math.min(toMs, (Math.floor(at / dayMs) + 1) * dayMs)
    const day = new Date(at).toISOString().slice(0, 10)
    const machineMs = (next - at) / payers.length
    shares.push(...payers.map((work) => ({ day, work, machineMs })))
    at = next
  }
  return shares
}
