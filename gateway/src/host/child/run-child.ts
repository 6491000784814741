import { isMainThread } from 'node:worker_threads'
import { crashOrders } from '#api/flow/crash-point.ts'
import type { Child, ChildResult } from './child.ts'
import { runChildHere } from './run-child-here.ts'
import { ThreadPool } from '../threads/thread-pool.ts'

const threads = new ThreadPool({
  script: new URL('./run-child-thread.ts', import.meta.url),
  size: 1,
  heapMiB: 512,
  data: crashOrders,
})

/**
 * Runs a program to its end. The program has its own process group. The whole group is killed when
 * a limit is exceeded, when `signal` aborts, when the program ends, and when the gateway ends (see
 * `spawnChild`). After an abort this throws the signal's reason.
 *
 * A separate thread starts the programs: starting one blocks its thread, and on a busy machine for
 * long.
 */
export async function runChild(child: Child, signal: AbortSignal): Promise<ChildResult> {
  signal.throwIfAborted()
  if (!isMainThread) return runChildHere(child, signal)

  const { port, end } = threads.start('run', child)
  const stop = () => port.sendValue('stop')
  signal.addEventListener('abort', stop)

  try {
    const result = await port.value<ChildResult | null>()
    signal.throwIfAborted()
    return result!
  } finally {
    signal.removeEventListener('abort', stop)
    end()
  }
}
