import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import type { KeptUpload, NewUpload, UploadFacts } from '#api/sources/upload.ts'
import { inMb } from '#api/text/in-mb.ts'
import { defaultLimits, type Limits } from '../limits.ts'
import { asSourceProblem } from '../source-problem.ts'
import { appendPart, type Part } from './append-part.ts'
import { LatestWriter } from './latest-writer.ts'
import { syncFolder, UploadFolder } from './upload-folder.ts'

export type UploadsOptions = {
  /** The data volume. */
  dir: string
  /** How long an upload is kept after its last byte. */
  keepMs: number
  /** How many uploads one caller may have at once. */
  perCaller: number
  /** How many bytes all uploads together may take: those that have arrived, and those to come. */
  maxBytes: () => number
  limits?: Partial<Limits>
}

type Held = { folder: UploadFolder; writer: LatestWriter }

/** What the files of an upload take beside its bytes. */
const overheadBytes = 16 * 1024

/**
 * Resumable uploads, in `uploads/` on the volume. The offset of each is what is synced to disk. It
 * survives crashes and restarts, and never goes back.
 */
export class Uploads {
  readonly #dir: string
  readonly #options: UploadsOptions
  readonly #limits: Limits
  readonly #closing = new AbortController()
  readonly #held = new Map<string, Held>()
  /** Folders that are being made. They count already. */
  readonly #making = new Map<string, UploadFacts>()

  private constructor(options: UploadsOptions) {
    this.#dir = join(options.dir, 'uploads')
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
  }

  /** Finds what an earlier gateway left, and removes what is not complete. */
  static async open(options: UploadsOptions): Promise<Uploads> {
    const uploads = new Uploads(options)
    const dir = uploads.#dir
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await syncFolder(options.dir)
    for (const name of await readdir(dir)) {
      const folder = await UploadFolder.open(dir, name)
      if (folder) uploads.#held.set(name, { folder, writer: new LatestWriter() })
      else await rm(join(dir, name), { recursive: true, force: true })
    }
    return uploads
  }

  /** Resolves when the upload is on disk. Throws `upload-limit` or `no-space`. */
  async create(asked: NewUpload & Pick<UploadFacts, 'uploader' | 'team'>): Promise<KeptUpload> {
    this.#assertRoom(asked)
    const facts = { id: randomBytes(16).toString('hex'), ...asked }
    this.#making.set(facts.id, facts)
    try {
      const folder = await UploadFolder.make(this.#dir, facts)
      this.#held.set(facts.id, { folder, writer: new LatestWriter() })
      return this.#viewOf(folder)
    } catch (error) {
      throw asSourceProblem(error)
    } finally {
      this.#making.delete(facts.id)
    }
  }

  /** Null: there is none, or it has expired. */
  find(id: string): KeptUpload | null {
    const held = this.#held.get(id)
    return held && !this.#isExpired(held) ? this.#viewOf(held.folder) : null
  }

  /**
   * Ends a request that still writes: its connection is mostly dead. Returns the upload as it is
   * then. Null: as for `find`.
   */
  async settle(id: string): Promise<KeptUpload | null> {
    await this.#held.get(id)?.writer.stop(() => takenOver(id))
    return this.find(id)
  }

  /**
   * Appends what a request sends, after ending an earlier one that still writes. When the sender
   * disconnects or stalls, what has arrived is kept, unless it has a checksum. Throws
   * `upload-conflict` if the offset is another, `upload-too-long`, `upload-checksum-mismatch`, and
   * what an upload of a source throws.
   */
  async append(id: string, part: Omit<Part, 'limits'>): Promise<KeptUpload> {
    const { folder, writer } = this.#get(id)
    try {
      await writer.run(
        async (stopped) => {
          if (this.#held.get(id)?.folder !== folder) throw uploadGone(id)
          const signal = AbortSignal.any([part.signal, stopped, this.#closing.signal])
          return appendPart(folder, { ...part, signal, limits: this.#limits })
        },
        () => takenOver(id),
      )
    } catch (error) {
      throw asSourceProblem(error)
    }
    return this.#viewOf(folder)
  }

  /** The bytes of a finished upload. */
  body(id: string): Readable {
    const { folder } = this.#get(id)
    if (!folder.isWhole) throw new Error(`The upload ${id} is not finished.`)
    return folder.read()
  }

  /** Does nothing if there is none. */
  async remove(id: string): Promise<void> {
    const held = this.#held.get(id)
    this.#held.delete(id)
    await held?.writer.stop(() => uploadGone(id))
    await held?.folder.remove()
  }

  /** Removes what has expired. */
  async sweep(): Promise<{ removed: number }> {
    const expired = [...this.#held].filter(([, held]) => this.#isExpired(held))
    for (const [id] of expired) await this.remove(id)
    return { removed: expired.length }
  }

  /** How many uploads of a team are kept. */
  countOf(team: string): number {
    return this.#kept().filter((upload) => upload.team === team).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(stopping())
    await Promise.all([...this.#held.values()].map(({ writer }) => writer.stop(stopping)))
  }

  #get(id: string): Held {
    const held = this.#held.get(id)
    if (!held || this.#isExpired(held)) throw uploadGone(id)
    return held
  }

  #viewOf({ facts, progress }: UploadFolder): KeptUpload {
    const expiresAt = new Date(progress.atMs + this.#options.keepMs)
    return { ...facts, offsetBytes: progress.offsetBytes, expiresAt }
  }

  #isExpired({ folder, writer }: Held): boolean {
    return !writer.isBusy && Date.now() > folder.progress.atMs + this.#options.keepMs
  }

  #kept(): UploadFacts[] {
    const held = [...this.#held.values()].filter((each) => !this.#isExpired(each))
    return [...held.map(({ folder }) => folder.facts), ...this.#making.values()]
  }

  #assertRoom({ uploader, lengthBytes }: Pick<UploadFacts, 'uploader' | 'lengthBytes'>): void {
    const kept = this.#kept()
    const { perCaller, maxBytes } = this.#options
    const own = kept.filter((upload) => upload.uploader === uploader).length
    if (own >= perCaller)
      throw new Problem(
        'upload-limit',
        `You have ${own} resumable uploads, and the gateway keeps ${perCaller} for a caller. Finish or delete one, or wait until one expires. The operator of the gateway can raise TARMAC_CALLER_UPLOADS.`,
        { facts: { limit: perCaller } },
      )

    const limitBytes = maxBytes()
    const all = [...kept.map((each) => each.lengthBytes), lengthBytes]
    const bytes = all.reduce((sum, each) => sum + each + overheadBytes, 0)
    if (bytes > limitBytes)
      throw new Problem(
        'no-space',
        `All resumable uploads together may take ${inMb(limitBytes)}, and with this one they would take ${inMb(bytes)}. Send it again later. The operator of the gateway can raise TARMAC_UPLOADS_SPACE, or give it a larger volume.`,
        { facts: { limitBytes, lengthBytes } },
      )
  }
}

/** The same answer for what does not exist, has expired, or is of another caller. */
export const uploadGone = (id: string) =>
  new Problem(
    'upload-not-found',
    `There is no upload ${id.slice(0, 100)}. It has expired, was deleted, or its deployment has been made. Start a new one.`,
  )

const stopping = () =>
  new Problem('stopping', 'The gateway is stopping. Go on with the upload in a moment.')

const takenOver = (id: string) =>
  new Problem(
    'upload-conflict',
    `Another request has gone on with the upload ${id}. Ask for its offset (HEAD), and go on from there.`,
  )
