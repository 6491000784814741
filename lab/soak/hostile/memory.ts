import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from './quantile.ts'

/**
 * Samples the resident memory of a process once a second. `growth` is the ratio of the last third
 * of the time to the second third.
 */
export async function sampleMemory(
  pid: number,
  over: AbortSignal,
): Promise<{ growth: number; text: string }> {
  const samples: number[] = []
  while (!over.aborted) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    samples.push(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024)
    await sleep(1000, undefined, { signal: over }).catch(() => {})
  }
  const third = Math.floor(samples.length / 3)
  const middle = Math.round(quantile(samples.slice(third, 2 * third), 0.5))
  const last = Math.round(quantile(samples.slice(2 * third), 0.5))
  const growth = Math.round((last / Math.max(middle, 1)) * 100) / 100
  return { growth, text: `${middle} MiB in the second third, ${last} MiB in the last` }
}
