import { serveJobs, type Handler } from '../host/threads/serve-jobs.ts'
import { workInBackground } from '../host/priority.ts'
import { planWork } from './plan-work.ts'

const work = planWork as Record<string, (...given: never[]) => unknown>
const handler =
  (kind: string): Handler =>
  async (given: never[], port) => {
    port.sendValue(work[kind]!(...given))
    await port.closed
  }

workInBackground()
serveJobs(Object.fromEntries(Object.keys(work).map((kind) => [kind, handler(kind)])))
