import { setTimeout as sleep } from 'node:timers/promises'

export type Hold = { longestMs: number; totalMs: number }

/**
 * Runs `work` and measures how long it holds the event loop: the most CPU time of this thread
 * between two samples, and in total. Each turn of the loop of a millisecond or more gives a sample.
 * It is CPU time, not wall time, so a busy machine changes nothing. Other threads do not count.
 */
export async function longestHold(work: () => Promise<unknown>): Promise<Hold> {
  const startedMs = cpuMs()
  let longestMs = 0
  let beforeMs = startedMs
  const look = () => {
    const nowMs = cpuMs()
    longestMs = Math.max(longestMs, nowMs - beforeMs)
    beforeMs = nowMs
  }
  const over = new AbortController()
  const running = work().finally(() => over.abort())
  running.catch(() => {}) // awaited below
  for (look(); !over.signal.aborted; look()) await sleep(1)
  await running
  return { longestMs, totalMs: cpuMs() - startedMs }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
