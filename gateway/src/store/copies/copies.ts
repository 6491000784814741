import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import type { z } from 'zod'
import { writeHashed } from '#api/flow/write-hashed.ts'
import { Problem } from '#api/problem.ts'
import type { NewerRecords, RestoreFacts } from '#api/status/backup.ts'
import { inMb } from '#api/text/in-mb.ts'
import { readSpace } from '../../host/disk/disk-space.ts'
import { databaseIn, stageRestore } from '../backup.ts'
import { type CopyJob, CopyResult } from './copy-jobs.ts'

/** A copy of the records as a file. Disposing removes the file. */
export type Copy = AsyncDisposable & { bytes: number; sha256: string; read(): Readable }
export type Incoming = {
  body: Readable
  /** As the sender announced it. */
  bytes: number
  /** SHA-256 in base64, if the sender gave one. */
  sha256: string | null
  /** Replace records that the file lacks. */
  overNewer: boolean
}

/** Stays free beside a copy: the gateway writes records meanwhile. */
const spareBytes = 128 * 2 ** 20

/** Copies of the records, made and taken while the gateway works. */
export class Copies {
  readonly #dir: string
  readonly #folder: string
  readonly #restart: () => void
  readonly #stop = new AbortController()

  /** `restart`: called when a restore is staged. The next start of the gateway ends it. */
  static async open(dir: string, restart: () => void): Promise<Copies> {
    const copies = new Copies(dir, restart)
    await rm(copies.#folder, { recursive: true, force: true })
    await mkdir(copies.#folder, { mode: 0o700 })
    return copies
  }

  private constructor(dir: string, restart: () => void) {
    this.#dir = dir
    this.#folder = join(dir, 'copies')
    this.#restart = restart
  }

  /** One consistent state, with everything that was acknowledged before. */
  async make(): Promise<Copy> {
    const { size } = await stat(databaseIn(this.#dir))
    await this.#assertRoom(size, 'A copy of the records')
    const file = this.#newFile()
    const remove = () => rm(file, { force: true })
    try {
      const result = await this.#run('make', file)
      if (!('sha256' in result)) throw new Error('the copy has no digest')
      const { size: bytes } = await stat(file)
      const { sha256 } = result
      return { bytes, sha256, read: () => createReadStream(file), [Symbol.asyncDispose]: remove }
    } catch (error) {
      await remove()
      throw error
    }
  }

  /** Checks a copy and stages it as the records of the next start. Changes nothing if it refuses. */
  async restore({ body, bytes, sha256, overNewer }: Incoming): Promise<RestoreFacts> {
    await this.#assertRoom(2 * bytes, 'The backup') // its migration may need as much again
    const file = this.#newFile()
    try {
      await receive(body, { file, bytes, sha256 })
      const result = await this.#run('check', file)
      if (!('newer' in result)) throw new Error('the check has no result')
      if (result.newer !== null && !overNewer) throw newerRecords(result.newer)
      stageRestore(this.#dir, file)
      this.#restart()
      return result
    } finally {
      for (const part of ['', '-wal', '-shm']) await rm(file + part, { force: true })
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
  }

  #newFile(): string {
    return join(this.#folder, `${randomUUID()}.db`)
  }

  async #assertRoom(bytes: number, what: string): Promise<void> {
    const space = await readSpace(this.#folder)
    if (!space || space.freeBytes >= bytes + spareBytes) return
    const detail = `${what} needs ${inMb(bytes + spareBytes)} on the builder’s volume, which has ${inMb(space.freeBytes)} free. Remove build caches, or give it a larger volume.`
    throw new Problem('no-space', detail, { facts: { freeBytes: space.freeBytes } })
  }

  async #run(kind: z.infer<typeof CopyJob>['kind'], file: string): Promise<CopyResult> {
    const workerData: z.infer<typeof CopyJob> = { kind, dir: this.#dir, file }
    const worker = new Worker(new URL('./copy-worker.ts', import.meta.url), { workerData })
    try {
      const [message]: unknown[] = await once(worker, 'message', { signal: this.#stop.signal })
      const result = CopyResult.parse(message)
      if (!('problem' in result)) return result
      const problem = Problem.from(result.problem)
      if (kind === 'make' || problem.code !== 'database-unusable') throw problem
      // Its advice is about the builder's own records.
      const why = problem.message
        .replace(`The database ${file}`, 'It')
        .replace(file, 'It')
        .replace(/ Restore a backup with .*/s, '')
      const detail = `The builder does not take this file as its records. ${why}`
      throw new Problem('backup-invalid', detail)
    } finally {
      await worker.terminate()
    }
  }
}

async function receive(
  body: Readable,
  { file, bytes, sha256 }: { file: string; bytes: number; sha256: string | null },
): Promise<void> {
  const arrived = await writeHashed(body, file)
  if (arrived.bytes !== bytes)
    throw new Problem(
      'body-truncated',
      `The backup is not complete: ${arrived.bytes} of ${bytes} bytes arrived. Send it again.`,
    )
  if (sha256 !== null && arrived.sha256 !== sha256)
    throw new Problem('digest-mismatch', 'The backup changed on its way. Send it again.')
}

function newerRecords(newer: NewerRecords): Problem {
  const { deployments, secrets, newest } = newer
  const last = newest ? ` The newest is ${newest.id} of ${newest.app}, at ${newest.at}.` : ''
  const detail = `The builder holds records that this backup lacks: ${deployments} deployments, ${secrets} build secrets.${last} To replace them all the same, say so (tarmac restore FILE --over-newer). They are kept on the volume, but the builder no longer knows them.`
  return new Problem('records-newer', detail, { facts: { newer } })
}
