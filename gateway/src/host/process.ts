import { readFileSync } from 'node:fs'

/**
 * When a process started, in clock ticks since boot. The kernel reuses pids; the start time tells
 * two processes apart.
 */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/**
 * Sends a signal to a process, or to a group if the number is negative. It may have ended already.
 */
export function endProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended
  }
}
