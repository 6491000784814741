import { readFileSync } from 'node:fs'

/** How many processes the kernel has killed since it started because memory ran out, in any cgroup; 0 where it does not tell. */
export function outOfMemoryKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
