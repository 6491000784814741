/** Processes of plain readers of one log. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Followed, FollowOrder } from './followers-process.ts'

/** Starts a process of readers, from an address of its own on loopback. */
export const startReaders = (order: FollowOrder): ChildProcess =>
  fork(join(import.meta.dirname, 'followers-process.ts'), [JSON.stringify(order)])

/** The next message of a process of readers. */
export async function heard(child: ChildProcess): Promise<unknown> {
  const died = once(child, 'exit').then(() => Promise.reject(new Error('readers died')))
  const [word] = (await Promise.race([once(child, 'message'), died])) as [unknown]
  died.catch(() => {})
  return word
}

/** The time within which this many deliveries arrived. */
export function quantile(found: Followed[], wanted: number): number {
  let seen = 0
  const most = found[0]!.timesMs.length - 1
  for (let ms = 0; ms < most; ms++) {
    for (const { timesMs } of found) seen += timesMs[ms]!
    if (seen >= wanted) return ms
  }
  return most
}
