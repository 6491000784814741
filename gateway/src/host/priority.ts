import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

const first = -10

/**
 * Raises the priority of this process: a build that uses all CPUs must not make callers wait. Only
 * root may do so; otherwise the priority stays as it is. On Linux each thread has its own priority
 * (setpriority(2), "Bugs"). The threads of the garbage collector run already, and the main thread
 * waits for them, so they get it too. Child threads and processes inherit it.
 */
export function serveFirst(): void {
  try {
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), first)
  } catch {
    // not root, or not Linux
  }
}

/** Gives this thread the usual priority: its work is large, and callers must not wait for it. */
export function workInBackground(): void {
  if (getPriority() < 0) setPriority(0)
}

/** The command prefix that gives a program the usual priority. */
export function usualPriority(): string[] {
  const own = getPriority()
  return own < 0 ? ['/usr/bin/nice', '-n', String(-own)] : []
}
