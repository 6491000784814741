import { type MessagePort, parentPort } from 'node:worker_threads'
import { JobPort } from './job-port.ts'

/** Each handler knows the type of its own data. */
export type Handler = (data: never, port: JobPort) => Promise<void>
export type JobMessage<Data = unknown> = { kind: string; data: Data; port: MessagePort }

/** Makes this thread serve a `ThreadPool`: jobs of these kinds, several at a time. */
export function serveJobs(handlers: Record<string, Handler>): void {
  parentPort!.on('message', ({ kind, data, port }: JobMessage<never>) => {
    const job = new JobPort(port)
    void handlers[kind]!(data, job)
      .catch((error: unknown) => job.sendError(error))
      .finally(() => job.close())
  })
}
