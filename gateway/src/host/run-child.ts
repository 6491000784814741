import { isMainThread } from 'node:worker_threads'
import { crashOrders } from '../crash-point.ts'
import { runChildHere } from './run-child-here.ts'
import { ThreadPool } from './threads/thread-pool.ts'

export type Child = {
  /** Absolute path: nothing is looked up, no shell is asked. */
  command: string
  args: string[]
  /** The whole environment: nothing of ours is inherited. */
  env: Record<string, string>
  cwd: string
  timeoutMs: number
  /** Of stdout and stderr together; a child that writes more is killed. */
  maxOutputBytes: number
  /** Further outputs beside stdout and stderr, from number 3 on: how many bytes each may hold. */
  outputs?: number[]
  /** What it reads from its standard input; nothing by default. */
  input?: string
}
export type ChildResult = {
  exitCode: number | null
  /** The signal that ended it, ours included. */
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
 * Runs a program to its end. It has a process group of its own, which is killed whole when a limit is reached, when the
 * signal aborts (then this throws the signal's reason) and when the program itself ends. It ends with us: see `spawnChild`.
 *
 * A thread of its own starts programs: whoever starts one waits until it runs, and on a busy machine that takes long.
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
