import { readFileSync } from 'node:fs'

/** When a process was started, in ticks since the boot: a pid alone may be another's by now, with this it cannot. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** Sends a signal to a process, or with a negative number to a group, that may have ended already. */
export function endProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended
  }
}
