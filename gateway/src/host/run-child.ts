import { isMainThread } from 'node:worker_threads'
import { crashOrders } from '../crash-point.ts'
import { runChildHere } from './run-child-here.ts'
import { ThreadPool } from './threads/thread-pool.ts'

export type Child = {
  /** Absolute path: there is no PATH lookup and no shell. */
  command: string
  args: string[]
  /** The whole environment: nothing of the gateway's is inherited. */
  env: Record<string, string>
  cwd: string
  timeoutMs: number
  /** Limit for stdout and stderr together. A child that writes more is killed. */
  maxOutputBytes: number
  /** Size limits in bytes of further outputs, file descriptor 3 and up. */
  outputs?: number[]
  /** Standard input; nothing by default. */
  input?: string
}
export type ChildResult = {
  exitCode: number | null
  /** The signal that ended it, also when the gateway sent it. */
  killedBy: string | null
  stdout: string
  stderr: string
  outputs: string[]
  truncated: boolean
  timedOut: boolean
}

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
