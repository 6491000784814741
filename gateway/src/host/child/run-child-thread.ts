import { workerData } from 'node:worker_threads'
import { obeyCrashOrders } from '#api/flow/crash-point.ts'
import type { Child } from './child.ts'
import { runChildHere } from './run-child-here.ts'
import { serveJobs } from '../threads/serve-jobs.ts'

obeyCrashOrders(workerData)
serveJobs({
  async run(child: Child, port) {
    const stop = new AbortController()
    void port.value().then(
      () => stop.abort(),
      () => stop.abort(), // the caller is gone
    )

    const ended = await runChildHere(child, stop.signal).catch((error: unknown) => {
      if (stop.signal.aborted) return null
      throw error
    })

    port.sendValue(ended)
    await port.closed
  },
})
