import { type MessagePort, parentPort } from 'node:worker_threads'
import { JobPort } from './job-port.ts'

export type Handler = (data: never, port: JobPort) => Promise<void>
export type JobMessage = { kind: string; data: unknown; port: MessagePort }

/** Makes this thread serve a `ThreadPool`: jobs of these kinds, several at a time. */
export function serveJobs(handlers: Record<string, Handler>): void {
  parentPort!.on('message', ({ kind, data, port }: JobMessage) => {
    const job = new JobPort(port)
    void handlers[kind]!(data as never, job)
      .catch((error: unknown) => job.sendError(error))
      .finally(() => job.close())
  })
}
