import { ThreadPool } from '../../host/threads/thread-pool.ts'

/** Shared by the whole process, for work on whole sources. */
export const contextThreads = new ThreadPool({
  script: new URL('./context-thread.ts', import.meta.url),
  size: 2,
  heapMiB: 1024,
})
