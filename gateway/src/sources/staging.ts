import {
  chmodSync,
  constants,
  copyFileSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sortEntries, sortedTreeDigest, type TreeEntry } from '#api/tree.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { type Manifest, manifestName, writeManifest } from '../host/tree-manifest.ts'
import { TimeSlice } from '../time-slice.ts'
import type { SpoolRoom } from './spool-room.ts'
import { diskMode, sha256Of, smallBytes, writeLarge, writeSmall } from './write-file.ts'

/**
 * How much may wait in memory: an archive of about a thousand source files. A file counts at least
 * `entryBytes`.
 */
const heldBytes = 4 * 1024 * 1024
const entryBytes = 1024

/**
 * All uploads of a thread share this slice, so the rest of the thread's work gets its time however
 * many there are.
 */
export const unpackSlice = new TimeSlice(10)

/** One content of several hard links: where it is, and the paths that become copies of it. */
type Inode = { at: string; others: Set<string> }

/**
 * A tree that is being built, in a folder that nothing else reads. The caller has checked the
 * paths. Nothing that exists is ever opened, and links are made last, so nothing is written through
 * one. The first files wait in memory: a small source that is stored already (a redeploy without a
 * change) never touches the disk.
 *
 * Folders and small files are made by synchronous calls. A piece of the body holds at most a few
 * hundred of them. Via libuv's thread pool each takes three times as long (20,000 files: 750 ms
 * against 250 ms).
 */
export class Staging {
  readonly path: string
  readonly #files: string
  readonly #room: SpoolRoom
  readonly #entries = new Map<string, TreeEntry>()
  /** By the paths of hard links. */
  readonly #inodes = new Map<string, Inode>()
  /** Operations that are not done yet. Null once nothing waits any more. */
  #waiting: (() => void)[] | null = []
  #roomBytes = heldBytes

  /** `path` must not exist. */
  constructor(path: string, room: SpoolRoom) {
    this.path = path
    this.#room = room
    this.#files = join(path, 'files')
    this.#make(() => {
      mkdirSync(path, { mode: 0o700 })
      mkdirSync(this.#files)
      chmodSync(this.#files, 0o755)
    })
  }

  folder(path: string): void {
    this.#make(() => {
      this.#room.takeFile()
      mkdirSync(join(this.#files, path))
      chmodSync(join(this.#files, path), 0o755)
    })
    this.#entries.set(path, { type: 'folder', path })
  }

  /** Adds a file. Like all that follow here, it replaces what an earlier entry has put there. */
  async file(
    path: string,
    more: { executable: boolean; sizeBytes: number; tar: Content },
  ): Promise<void> {
    const { sizeBytes, tar } = more
    const mode = more.executable ? 0o755 : 0o644
    this.drop(path)
    this.#roomBytes -= sizeBytes + entryBytes
    if (this.#roomBytes < 0) await this.#makeWaiting()
    const isSmall = sizeBytes <= smallBytes || this.#waiting !== null
    const sha256 = isSmall
      ? this.#small(path, diskMode(mode), await tar.wholeBody())
      : await this.#large(path, diskMode(mode), { sizeBytes, tar })
    this.#entries.set(path, { type: 'file', path, mode, sizeBytes, sha256 })
  }

  /** Adds a symbolic link, made by `write`. */
  link(path: string, target: string): void {
    this.drop(path)
    this.#entries.set(path, { type: 'link', path, target })
  }

  /**
   * Adds a hard link to a file or a link. That of a file becomes a copy, made by `settle`. Returns
   * its size.
   */
  copy(path: string, from: string): number {
    const original = this.#entries.get(from)
    if (!original || original.type === 'folder') throw new Error(`${from} was not written`)
    if (path === from) return 0
    this.drop(path)
    this.#entries.set(path, { ...original, path })
    if (original.type === 'link') return 0

    const inode = this.#inodes.get(from) ?? { at: from, others: new Set() }
    inode.others.add(path)
    this.#inodes.set(from, inode).set(path, inode)
    return original.sizeBytes
  }

  /** Removes a file or link. Other hard links to the same file stay. */
  drop(path: string): void {
    const entry = this.#entries.get(path)
    const inode = this.#inodes.get(path)
    this.#entries.delete(path)
    this.#inodes.delete(path)
    if (entry?.type !== 'file' || inode?.others.delete(path)) return

    const full = join(this.#files, path)
    const [heir] = inode?.others ?? []
    if (inode && heir !== undefined) {
      inode.others.delete(heir)
      inode.at = heir
      this.#make(() => renameSync(full, join(this.#files, heir)))
    } else this.#make(() => unlinkSync(full))
  }

  /** Returns the tree's manifest. Add nothing afterwards. */
  finish(): Manifest {
    const entries = sortEntries([...this.#entries.values()])
    const files = entries.filter((entry) => entry.type === 'file')
    const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    return { digest: sortedTreeDigest(entries), files: files.length, sizeBytes, entries }
  }

  /** Writes the files that wait, and the copies. Returns the folder that has them. */
  async settle(): Promise<string> {
    await this.#makeWaiting()
    for (const { at, others } of new Set(this.#inodes.values()))
      for (const path of others) {
        await unpackSlice.yield()
        await this.#copy(at, path)
      }
    this.#inodes.clear()
    return this.#files
  }

  /** Writes the rest: what waits, then copies, links and the manifest. */
  async write(manifest: Manifest): Promise<void> {
    await this.settle()
    for (const entry of manifest.entries)
      if (entry.type === 'link') {
        this.#room.takeFile()
        symlinkSync(entry.target, join(this.#files, entry.path))
      }
    await writeManifest(join(this.path, manifestName), manifest)
    chmodSync(this.path, 0o755)
  }

  /** Removes the folder, unless it has been moved away. */
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }

  #make(act: () => void): void {
    if (this.#waiting) this.#waiting.push(act)
    else act()
  }

  async #makeWaiting(): Promise<void> {
    for (const act of this.#waiting ?? []) {
      act()
      crashPoint('unpacking')
      await unpackSlice.yield()
    }
    this.#waiting = null
  }

  async #copy(from: string, path: string): Promise<void> {
    const original = this.#entries.get(from)
    const sizeBytes = original?.type === 'file' ? original.sizeBytes : 0
    this.#room.takeFile(sizeBytes)
    const names = [join(this.#files, from), join(this.#files, path)] as const
    if (sizeBytes <= smallBytes) copyFileSync(...names, constants.COPYFILE_EXCL)
    else await copyFile(...names, constants.COPYFILE_EXCL)
  }

  #small(path: string, mode: number, content: Buffer): string {
    this.#make(() => {
      this.#room.takeFile(content.length)
      writeSmall(join(this.#files, path), mode, content)
    })
    return sha256Of(content)
  }

  #large(path: string, mode: number, { sizeBytes, tar }: { sizeBytes: number; tar: Content }) {
    this.#room.takeFile()
    this.#room.assertRoom(sizeBytes)
    return writeLarge(join(this.#files, path), mode, this.#room.taking(tar.body()))
  }
}

/** Source of the current file's content. */
export type Content = { wholeBody(): Promise<Buffer>; body(): AsyncIterable<Buffer> }
