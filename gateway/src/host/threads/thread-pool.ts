import { MessageChannel, Worker } from 'node:worker_threads'
import { JobPort } from './job-port.ts'
import type { JobMessage } from './serve-jobs.ts'

export type Threads = {
  /** The module that a thread runs; it calls `serveJobs`. */
  script: URL
  size: number
  /** Heap limit of one thread. */
  heapMiB: number
  /** Returns the data that a thread gets when it starts. */
  data?: () => unknown
}
type Thread = { worker: Worker; jobs: Set<JobPort>; idle: NodeJS.Timeout | undefined }

/**
 * A thread without work ends after this long. The last thread stays longer, so that the next small
 * job need not wait for a start.
 */
const idleMs = 5_000
const lastIdleMs = 60_000

/**
 * Threads for work that would block the event loop. They start when there is work, take several
 * jobs each, and end when idle. When a thread dies, its jobs fail, and the next job gets a new
 * thread.
 */
export class ThreadPool {
  readonly #threads = new Set<Thread>()
  readonly #settings: Threads

  constructor(settings: Threads) {
    this.#settings = settings
  }

  /**
   * Starts a job on the least busy thread. Call `end` when the job is over. `kill` ends the thread,
   * with all its jobs.
   */
  start(kind: string, data: unknown): { port: JobPort; end: () => void; kill: () => void } {
    const thread = this.#free()
    const { port1, port2 } = new MessageChannel()
    // The thread is dying: it gets no more jobs.
    const port = new JobPort(port1, () => this.#threads.delete(thread))
    thread.jobs.add(port)
    clearTimeout(thread.idle)
    thread.worker.ref()
    const message: JobMessage = { kind, data, port: port2 }
    thread.worker.postMessage(message, [port2])

    return {
      port,
      end: () => {
        port.close()
        const isFirst = thread.jobs.delete(port)
        if (isFirst && thread.jobs.size === 0) this.#rest(thread)
      },
      kill: () => this.#end(thread),
    }
  }

  /** For tests: all threads die. */
  killAll(): void {
    for (const thread of this.#threads) this.#end(thread)
  }

  #free(): Thread {
    const [first] = [...this.#threads].toSorted((a, b) => a.jobs.size - b.jobs.size)
    return first && (first.jobs.size === 0 || this.#threads.size >= this.#settings.size)
      ? first
      : this.#open()
  }

  #open(): Thread {
    const { script, heapMiB, data } = this.#settings
    const worker = new Worker(script, {
      execArgv: [],
      workerData: data?.(),
      resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    })
    const thread: Thread = { worker, jobs: new Set(), idle: undefined }

    const lost = (error: Error) => {
      this.#threads.delete(thread)
      clearTimeout(thread.idle)
      for (const port of thread.jobs) port.fail(error)
    }

    worker.on('error', lost)
    worker.on('exit', () => lost(new Error('A worker thread ended before its work was done.')))
    this.#threads.add(thread)
    return thread
  }

  /** Ends a thread, and the jobs on it. It gets no new ones while it dies. */
  #end(thread: Thread): void {
    this.#threads.delete(thread)
    void thread.worker.terminate()
  }

  #rest(thread: Thread): void {
    thread.worker.unref()
    const leave = () => this.#end(thread)
    // Others may have left meanwhile.
    const leaveIfNotLast = () => {
      if (this.#threads.size > 1) leave()
      else thread.idle = setTimeout(leave, lastIdleMs - idleMs).unref()
    }
    thread.idle = setTimeout(leaveIfNotLast, idleMs).unref()
  }
}
