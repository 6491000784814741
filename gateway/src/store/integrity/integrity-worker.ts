import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { checks, integrityOf } from './integrity-of.ts'

/** One check of a whole database, with its own thread and connection. */
const { path, check } = z.object({ path: z.string(), check: z.enum(checks) }).parse(workerData)
using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort!.postMessage(integrityOf(db, check))
