import { setImmediate as nextTurn } from 'node:timers/promises'

export type Hold = { longestMs: number; totalMs: number }

/**
 * Runs `work` and measures how long it holds the event loop: the most CPU time of this thread in one turn, and in all.
 * CPU time, not wall time: a busy machine changes nothing. Other threads do not count.
 */
export async function longestHold(work: () => Promise<unknown>): Promise<Hold> {
  let longestMs = 0
  let done = false
  await nextTurn()
  const startedMs = cpuMs()
  let beforeMs = startedMs
  const look = () => {
    const nowMs = cpuMs()
    longestMs = Math.max(longestMs, nowMs - beforeMs)
    beforeMs = nowMs
  }
  const running = work().finally(() => (done = true))
  running.catch(() => {}) // awaited below
  look()
  // oxlint-disable-next-line no-unmodified-loop-condition -- the work does it, when it ends
  while (!done) {
    await nextTurn()
    look()
  }
  await running
  return { longestMs, totalMs: cpuMs() - startedMs }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
