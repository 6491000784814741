import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Does the work while no other process holds the lock file. The kernel frees the lock when this
 * process ends in any way.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true, // Ctrl-C must not free the lock before this process has cleaned up
  })
  try {
    const held = once(holder.stdout, 'data')
    const soon = await Promise.race([held.then(() => true), sleep(500, false)])
    if (!soon) console.log('lab: another set-up is at work, waiting for it')
    await held
    return await work()
  } finally {
    holder.stdin.end()
  }
}
