import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { type Check, integrityOf } from './integrity-of.ts'

/** One check of a whole database, with its own thread and connection. */
const { path, check } = workerData as { path: string; check: Check }
using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort!.postMessage(integrityOf(db, check))
