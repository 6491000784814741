import { serveJobs, type Handler } from '../host/threads/serve-jobs.ts'
import { workInBackground } from '../host/priority.ts'
import { planWork } from './plan-work.ts'

const handlers = planWork as Record<string, (...args: never[]) => unknown>
const handler =
  (kind: string): Handler =>
  async (args: never[], port) => {
    port.sendValue(handlers[kind]!(...args))
    await port.closed
  }

workInBackground()
serveJobs(Object.fromEntries(Object.keys(handlers).map((kind) => [kind, handler(kind)])))
