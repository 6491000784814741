import { readFileSync } from 'node:fs'

/** How many files and connections this process may have open. 1024 when the kernel does not say. */
export function maxOpenFiles(): number {
  try {
    return Number(
      /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024,
    )
  } catch {
    return 1024
  }
}
