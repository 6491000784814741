import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TreeFolders } from '../tree-folders.ts'
import { joinOnThread } from '../upload.ts'
import { joinedName } from './join-tree.ts'

/** Right after it was sent, a tree is built: joining takes the disk from that. */
const laterMs = 2000

/** Joins trees to the store in the background, one after the other. A failure is tried again by a sweep. */
export class Joining {
  readonly #volume: string
  readonly #folders: TreeFolders
  readonly #waiting = new Set<string>()
  #running: Promise<void> | null = null
  readonly #over = new AbortController()

  constructor(volume: string, folders: TreeFolders) {
    this.#volume = volume
    this.#folders = folders
  }

  add(digest: string): void {
    if (this.#over.signal.aborted || existsSync(join(this.#folders.folderOf(digest), joinedName)))
      return
    this.#waiting.add(digest)
    this.#running ??= this.#run()
  }

  addAll(digests: string[]): void {
    for (const digest of digests) this.add(digest)
  }

  async #run(): Promise<void> {
    const { signal } = this.#over
    await sleep(laterMs, undefined, { signal }).catch(() => {})
    for (const digest of this.#waiting) {
      if (signal.aborted) break
      const staged = this.#folders.stage('join')
      const folder = this.#folders.folderOf(digest)
      // A tree that was removed meanwhile, or a full disk.
      await joinOnThread({ volume: this.#volume, folder, spool: staged.path }).catch(() => {})
      staged.release()
      this.#waiting.delete(digest)
    }
    this.#running = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#running
  }
}
