import { z } from 'zod'
import type { FileEntry } from '../deploy/list-source.ts'
import type { CacheFolder } from './cache-folder.ts'

/** More files than a gateway takes. */
const maxFiles = 250_000
/**
 * A file that changed so shortly before it was listed may change again without another time: file
 * systems keep times of up to 2 s. git calls it racy.
 */
const racyMs = 2000

export type HashedFile = FileEntry & { sha256: string }

// The cache has checked that it is what was written.
const Stored = z.object({
  v: z.literal(1),
  files: z.custom<[path: string, stamp: string, sha256: string][]>((value) => Array.isArray(value)),
})

/** The hashes of a folder's files that were the same when they were hashed last. */
export class FileHashes {
  readonly #cache: CacheFolder
  readonly #key: string[]
  readonly #known: Map<string, { stamp: string; sha256: string }>

  private constructor(cache: CacheFolder, key: string[], known: unknown) {
    this.#cache = cache
    this.#key = key
    const files = Stored.safeParse(known).data?.files ?? []
    this.#known = new Map(files.map(([path, stamp, sha256]) => [path, { stamp, sha256 }]))
  }

  /** Opens the cache of a folder. */
  static async open(cache: CacheFolder, folder: string): Promise<FileHashes> {
    const key = ['files', folder]
    return new FileHashes(cache, key, await cache.read(key))
  }

  /** Whether an earlier run has left something. */
  get isEmpty(): boolean {
    return this.#known.size === 0
  }

  /** The hash of a file that has not changed. Null: it must be hashed. */
  find({ path, stamp }: FileEntry): string | null {
    const known = this.#known.get(path)
    return known?.stamp === stamp.text ? known.sha256 : null
  }

  /**
   * Keeps these files, and no others. `listedMs`: when their listing began, in milliseconds since
   * 1970.
   */
  async save(files: readonly HashedFile[], listedMs: number): Promise<void> {
    if (files.length > maxFiles) return
    const steady = files.filter(({ stamp }) => stamp.changedMs < listedMs - racyMs)
    const isNews = steady.some((file) => this.find(file) === null)
    if (!isNews && steady.length === this.#known.size) return
    await this.#cache.write(this.#key, {
      v: 1,
      files: steady.map(({ path, stamp, sha256 }) => [path, stamp.text, sha256]),
    } satisfies z.infer<typeof Stored>)
  }
}
