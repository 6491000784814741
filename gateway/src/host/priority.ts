import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

const first = -10

/**
 * Puts this process before other programs of the machine: a build that uses all CPUs must not make callers wait. Only
 * root may; others stay where they are. On Linux the priority belongs to the thread (setpriority(2), "Bugs"): those that
 * collect garbage run by now, and the main thread waits for them. What a thread starts inherits its priority.
 */
export function serveFirst(): void {
  try {
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), first)
  } catch {
    // not root, or not Linux
  }
}

/** Gives this thread a usual program's priority: its work is large, and callers must not wait for it. */
export function workInBackground(): void {
  if (getPriority() < 0) setPriority(0)
}

/** The words in front of a command that give it a usual program's priority. */
export function usualPriority(): string[] {
  const own = getPriority()
  return own < 0 ? ['/usr/bin/nice', '-n', String(-own)] : []
}
