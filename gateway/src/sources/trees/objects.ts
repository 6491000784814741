import { randomUUID } from 'node:crypto'
import { linkSync, lstatSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { copySynced } from '../write-file.ts'

/** The name of a file in the store: the SHA-256 of its content, with `-x` if it is executable. */
export const objectName = ({ sha256, mode }: { sha256: string; mode: number }): string =>
  mode === 0o755 ? `${sha256}-x` : sha256

/**
 * The files of all trees, each content once. A tree has hard links to them, so the link count of a
 * file says how many use it. The content of each was synced to disk before it came here, and nothing
 * ever writes to one.
 */
export class Objects {
  readonly #dir: string

  /** `volume` is the data volume. */
  constructor(volume: string) {
    this.#dir = join(volume, 'objects')
  }

  pathOf(name: string): string {
    return join(this.#dir, name.slice(0, 2), name)
  }

  /** Makes `path` a link to a file of the store. False: the store has no such file. */
  linkTo(name: string, path: string): boolean {
    const object = this.pathOf(name)
    for (;;) {
      try {
        linkSync(object, path)
        return true
      } catch (error) {
        const code = errorCode(error)
        if (code === 'ENOENT' && !this.has(name)) return false
        if (code !== 'EMLINK') throw error
        this.#replace(name, object)
      }
    }
  }

  /** Takes a synced file of the right content and mode. The store may have that content already. */
  add(name: string, path: string): void {
    const object = this.pathOf(name)
    try {
      linkSync(path, object)
    } catch (error) {
      const code = errorCode(error)
      if (code === 'EEXIST') return
      if (code === 'EMLINK') return this.#replace(name, path)
      if (code !== 'ENOENT') throw error
      mkdirSync(dirname(object), { recursive: true, mode: 0o700 })
      linkSync(path, object)
    }
  }

  has(name: string): boolean {
    return lstatSync(this.pathOf(name), { throwIfNoEntry: false }) !== undefined
  }

  /**
   * Puts a copy of `from` in place: a file system limits the links of a file (ext4: 65,000). Trees
   * keep the old one.
   */
  #replace(name: string, from: string): void {
    const object = this.pathOf(name)
    const coming = `${object}.${randomUUID()}`
    copySynced(from, coming)
    renameSync(coming, object)
  }
}
