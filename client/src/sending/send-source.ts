import { Problem } from '#api/problem.ts'
import type { Compression } from '../deploy/compression.ts'
import type { Entry } from '../deploy/list-source.ts'
import { packSource } from '../deploy/pack-source.ts'
import type { Gateway } from '../gateway.ts'
import type { CacheFolder } from './cache-folder.ts'
import { SourceCalls } from './calls.ts'
import { FileHashes } from './file-hashes.ts'
import { hashSource, type Listed, treeOf } from './hash-source.ts'
import { type KnownTree, readKnownTree, writeKnownTree } from './known-tree.ts'
import { isLost, Patience } from './patience.ts'
import type { SendingProgress } from './progress.ts'
import { sendTree } from './send-tree.ts'
import { upload } from './upload.ts'
import type { UploadForm } from './upload-form.ts'

/** A source up to this size is sent as one archive: a manifest would cost another round trip. */
const smallBytes = 2 ** 20
/** How often a file may change while it is sent. */
const maxChanges = 5

/** A request that makes something of a source. The same key makes it once. */
export type Door<T> = {
  app: string
  path: string
  key: string
  /** The request around an archive. */
  form: () => UploadForm
  /** The request as JSON, without its `source`. */
  fields: () => object
  read: (answer: string) => T
  /** The digest of the tree that it was made of. Null: the answer does not say it. */
  digestOf: (made: T) => string | null
  /** What a request with this key made. Null: nothing. */
  find: () => Promise<T | null>
}

export type SourceToSend = {
  folder: string
  compression: Compression
  cache: CacheFolder
  /** Lists the folder as it is now. */
  list: () => Promise<Listed>
}
export type SendingDeps = { gateway: Gateway; progress: SendingProgress; signal: AbortSignal }

/** Sends a source and the request that makes something of it. */
export class SourceSender<T> {
  readonly door: Door<T>
  readonly #source: SourceToSend
  readonly #deps: SendingDeps
  readonly #patience: Patience
  /** Whether the request that makes something was begun: it may have made it. */
  hasBegun = false
  /** Whether what was sent so far stays with the gateway for a day. */
  isKept = false

  constructor(door: Door<T>, source: SourceToSend, deps: SendingDeps) {
    this.door = door
    this.#source = source
    this.#deps = deps
    this.#patience = new Patience((text) => deps.progress.note(text), deps.signal)
  }

  /** Sends all of it. A file that changes meanwhile is sent as it is then. */
  async send(): Promise<T> {
    let asTree = false
    for (let attempt = 1; ; attempt++)
      try {
        return await this.#sendOnce(asTree)
      } catch (error) {
        const changed = changedFile(error)
        if (changed !== null && attempt < maxChanges)
          this.#deps.progress.note(`${changed} changed while it was sent. Sending what it is now.`)
        else await this.#patience.pause(error)
        // An archive begins again from its start. What arrived of a tree stays.
        asTree = true
      }
  }

  async #sendOnce(asTree: boolean): Promise<T> {
    const { folder, cache, list } = this.#source
    const { gateway, signal } = this.#deps
    const { app } = this.door
    const hashes = await FileHashes.open(cache, folder)
    const base = await readKnownTree(cache, gateway.address, app)
    const listed = await list()

    const isSmall = bytesOf(listed.entries) <= smallBytes
    const isFirst = base === null && hashes.isEmpty
    if ((isSmall || isFirst) && !asTree) return this.#sendArchive(listed, hashes)
    const { tree, files } = await hashSource(folder, listed.entries, hashes, signal)
    void hashes.save(files, listed.listedMs) // nothing waits for it
    return (await this.#sendAsTree(tree, base)) ?? this.#sendArchive(listed, hashes)
  }

  /** Null: the gateway knows no trees. */
  async #sendAsTree(tree: KnownTree, base: KnownTree | null): Promise<T | null> {
    const { folder, compression, cache } = this.#source
    const { gateway, progress, signal } = this.#deps
    const { app } = this.door
    const calls = new SourceCalls({ gateway, app, compression, signal })
    const deps = { folder, calls, compression, patience: this.#patience, progress }
    for (;;) {
      this.isKept = true
      this.isKept = await sendTree(tree, base, deps)
      if (!this.isKept) return null
      // Already now: the request may fail, and the tree is there all the same.
      if (tree.digest !== base?.digest) void writeKnownTree(cache, [gateway.address, app], tree)
      const made = await this.#request(tree.digest, calls)
      if (made !== null) return made
    }
  }

  /** Makes something of a tree that the gateway has. Null: it does not have it any more. */
  async #request(tree: string, calls: SourceCalls): Promise<T | null> {
    const { path, key, fields, read } = this.door
    this.hasBegun = true
    const ask = () => calls.make(path, key, { ...fields(), source: { tree } })
    try {
      return read(await this.#patience.until(ask))
    } catch (error) {
      const code = error instanceof Problem ? error.code : null
      // A laptop may have been closed for long.
      if (code === 'tree-not-found') return null
      // An archive with this key, whose connection broke, made it after all.
      const made = code === 'idempotency-mismatch' ? await this.door.find() : null
      if (made === null) throw error
      return made
    }
  }

  async #sendArchive({ entries, listedMs }: Listed, hashes: FileHashes): Promise<T> {
    const { folder, compression, cache } = this.#source
    const { gateway, progress, signal } = this.#deps
    const { app, path, key, form, read, digestOf } = this.door
    const files = entries.filter((entry) => entry.type !== 'folder').length
    const bytes = bytesOf(entries)
    progress.plan({ files, bytes, allFiles: files, allBytes: bytes })

    let packedBytes = 0
    const found = new Map<string, string>()
    const body = packSource({
      folder,
      entries,
      compression,
      packed: (more) => void (packedBytes += more),
      onFile: (file, sha256) => void found.set(file, sha256),
    })
    const onSent = (lineBytes: number) => {
      this.hasBegun = true
      this.#patience.reached()
      progress.sent(lineBytes, packedBytes)
      packedBytes = 0
    }
    const made = await upload(gateway, { path, form: form(), key }, { body, onSent }, signal)
      .then(read)
      .catch((error: unknown) => this.#foundAfter(error))

    await hashes.save(
      entries.flatMap((entry) =>
        entry.type === 'file' ? { ...entry, sha256: found.get(entry.path)! } : [],
      ),
      listedMs,
    )
    const tree = treeOf(entries, (file) => found.get(file)!)
    // The gateway leaves out some files of macOS.
    if ((digestOf(made) ?? tree.digest) === tree.digest)
      await writeKnownTree(cache, [gateway.address, app], tree)
    return made
  }

  /** After a broken connection: what the request made all the same. Throws the error if nothing. */
  async #foundAfter(error: unknown): Promise<T> {
    const isOpen = error instanceof Problem && isLost(error) && !this.#deps.signal.aborted
    const made = isOpen && this.hasBegun ? await this.door.find() : null
    if (made === null) throw error
    return made
  }
}

/** The file that was another one when it was read again. */
const changedFile = (error: unknown): string | null =>
  error instanceof Problem && error.code === 'archive-truncated' && 'path' in error.facts
    ? String(error.facts['path'])
    : null

const bytesOf = (entries: readonly Entry[]): number =>
  entries.reduce((sum, entry) => sum + (entry.type === 'file' ? entry.sizeBytes : 0), 0)
