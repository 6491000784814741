import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { crashPoint } from '#api/flow/crash-point.ts'
import { UploadFacts } from '#api/sources/upload.ts'

/** How much of an upload is on disk, and when that was said last: milliseconds since 1970. */
type Progress = { offsetBytes: number; atMs: number }

/** Begins the name of a folder that is not complete. A crash may leave one. */
const unfinished = '.'

/**
 * One resumable upload on disk: a folder with its facts, its bytes and its offset. Only the recorded
 * offset counts. The file of bytes may be longer: after a crash, what it has beyond the offset was
 * not synced, or has not passed its checksum.
 */
export class UploadFolder {
  readonly facts: UploadFacts
  readonly path: string
  #progress: Progress

  private constructor(path: string, facts: UploadFacts, progress: Progress) {
    this.path = path
    this.facts = facts
    this.#progress = progress
  }

  /** Makes a folder that is complete or not there at all. It is synced. */
  static async make(parent: string, facts: UploadFacts): Promise<UploadFolder> {
    const made = join(parent, unfinished + facts.id)
    const path = join(parent, facts.id)
    const progress = { offsetBytes: 0, atMs: Date.now() }
    try {
      await mkdir(made, { mode: 0o700 })
      await writeSynced(join(made, 'facts.json'), JSON.stringify(facts))
      await writeSynced(join(made, 'offset'), recordOf(progress))
      await writeSynced(join(made, 'bytes'), '')
      await syncFolder(made)
      await rename(made, path)
      await syncFolder(parent)
    } catch (error) {
      for (const left of [made, path]) await rm(left, { recursive: true, force: true })
      throw error
    }
    crashPoint('upload-made')
    return new UploadFolder(path, facts, progress)
  }

  /** Opens what an earlier gateway left. Null: it is not complete, and nothing of it can be used. */
  static async open(parent: string, name: string): Promise<UploadFolder | null> {
    const path = join(parent, name)
    try {
      const facts = UploadFacts.parse(JSON.parse(await readFile(join(path, 'facts.json'), 'utf8')))
      const progress = readRecord(await readFile(join(path, 'offset'), 'utf8'))
      return progress && facts.id === name ? new UploadFolder(path, facts, progress) : null
    } catch {
      return null
    }
  }

  get progress(): Progress {
    return this.#progress
  }

  get isWhole(): boolean {
    return this.#progress.offsetBytes === this.facts.lengthBytes
  }

  /** The whole upload. */
  read(): Readable {
    const { lengthBytes } = this.facts
    if (lengthBytes === 0) return Readable.from([])
    return createReadStream(join(this.path, 'bytes'), { end: lengthBytes - 1 })
  }

  /** Opens the bytes for writing at the offset. */
  async write(): Promise<UploadWriter> {
    const bytes = await open(join(this.path, 'bytes'), 'r+')
    return new UploadWriter(bytes, this.#progress.offsetBytes, (offsetBytes) =>
      this.#record(offsetBytes),
    )
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }

  /**
   * The record is overwritten in place. It is shorter than a sector, which a disk writes as a whole
   * or not at all.
   */
  async #record(offsetBytes: number): Promise<void> {
    const progress = { offsetBytes, atMs: Date.now() }
    await using file = await open(join(this.path, 'offset'), 'r+')
    await file.write(recordOf(progress), 0)
    await file.datasync()
    this.#progress = progress
    crashPoint('upload-recorded')
  }
}

type File = Awaited<ReturnType<typeof open>>

/** Writes the bytes of an upload from its offset on. */
export class UploadWriter {
  readonly #bytes: File
  readonly #record: (offsetBytes: number) => Promise<void>
  /** Where the next byte goes. */
  #at: number
  #synced: number
  #syncedMs = performance.now()

  constructor(bytes: File, offsetBytes: number, record: (offsetBytes: number) => Promise<void>) {
    this.#bytes = bytes
    this.#at = this.#synced = offsetBytes
    this.#record = record
  }

  get at(): number {
    return this.#at
  }

  /** Bytes that a power cut would take, and for how long they have been that. */
  get unsynced(): { bytes: number; ms: number } {
    return { bytes: this.#at - this.#synced, ms: performance.now() - this.#syncedMs }
  }

  async write(piece: Buffer): Promise<void> {
    for (let done = 0; done < piece.length;) {
      const { bytesWritten } = await this.#bytes.write(piece, done, piece.length - done, this.#at)
      done += bytesWritten
      this.#at += bytesWritten
    }
    crashPoint('upload-written')
  }

  /** Syncs what is written. From then on it counts, whatever happens. */
  async keep(): Promise<void> {
    await this.#bytes.datasync()
    crashPoint('upload-synced')
    await this.#record(this.#at)
    this.#synced = this.#at
    this.#syncedMs = performance.now()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bytes.close()
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(text)
  await file.sync()
}

export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path)
  await folder.sync()
}

const digits = 16
const recordOf = ({ offsetBytes, atMs }: Progress) =>
  `${String(offsetBytes).padStart(digits, '0')} ${String(atMs).padStart(digits, '0')}\n`

function readRecord(text: string): Progress | null {
  const [, offset, at] = /^(\d{16}) (\d{16})\n$/.exec(text) ?? []
  return offset === undefined ? null : { offsetBytes: Number(offset), atMs: Number(at) }
}
