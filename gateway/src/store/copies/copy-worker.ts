import { createHash } from 'node:crypto'
import { closeSync, createReadStream, fsyncSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pipeline } from 'node:stream/promises'
import { parentPort, workerData } from 'node:worker_threads'
import type { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { backup } from '../backup.ts'
import { inspect, openDatabase } from '../open-database.ts'
import { CopyJob, type CopyResult } from './copy-jobs.ts'
import { newerThan } from './newer-records.ts'

/** One copy or check of a whole database, with its own thread: it takes seconds. */
const job = CopyJob.parse(workerData)
const result = await run(job).catch((error: unknown): CopyResult => {
  if (error instanceof Problem) return { problem: error.body() }
  throw error // it ends the thread, and reaches the gateway's log
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort!.postMessage(result)

async function run({ kind, dir, file }: z.infer<typeof CopyJob>): Promise<CopyResult> {
  if (kind === 'make') {
    backup(dir, file)
    return { sha256: await digestOf(file) }
  }

  inspect(file, undefined, 'whole')
  // Now, and not when the records are replaced: a migration that fails is a refusal.
  openDatabase(file).close()
  sync(file)
  using copy = new DatabaseSync(file, { readOnly: true })
  return { newer: newerThan(copy, dir), deployments: countIn(copy) }
}

function countIn(db: DatabaseSync): number {
  return Number(db.prepare('SELECT count(*) AS n FROM deployments').get()!['n'])
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  hash.setEncoding('base64')
  await pipeline(createReadStream(file), hash)
  return String(hash.read())
}

function sync(file: string): void {
  const fd = openSync(file, 'r')
  fsyncSync(fd)
  closeSync(fd)
}
