import { closeSync, constants, openSync } from 'node:fs'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants

/** Opens a file, but no link to one, and does not block on a pipe. */
export const fileFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
const folderFlags = fileFlags | O_DIRECTORY

type OpenFolder = { fd: number; inside: string }

/**
 * Reaches the files of a tree without following a link, whatever happens to the tree meanwhile. It
 * opens each folder of a path relative to the open folder above it, as `openat` does. Node has
 * neither `openat` nor `openat2`; `/proc/self/fd` serves instead. The folders of the last path stay
 * open, so that the files of a tree in their order need few calls.
 */
export class Beneath {
  readonly #root: string
  readonly #open: OpenFolder[] = []

  /** The folders above the root are the gateway's own. */
  constructor(root: string) {
    this.#root = root
  }

  /**
   * A name for the entry at this path of the tree, valid until the next call. Use it without
   * following links: with `fileFlags`, or in a call that never follows the last part. Throws the
   * system's error if the root or a folder of the path is missing or is a link.
   */
  at(path: string): string {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const folder = path.slice(0, path.length - name.length)
    while (!folder.startsWith(this.#last().inside)) closeSync(this.#open.pop()!.fd)

    for (const part of folder.slice(this.#last().inside.length).split('/').slice(0, -1)) {
      const { fd, inside } = this.#last()
      const next = openSync(`/proc/self/fd/${fd}/${part}`, folderFlags)
      this.#open.push({ fd: next, inside: `${inside}${part}/` })
    }
    return `/proc/self/fd/${this.#last().fd}/${name}`
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#open.splice(0)) closeSync(fd)
  }

  /** The root always stays: every path begins with its empty `inside`. */
  #last(): OpenFolder {
    if (this.#open.length === 0)
      this.#open.push({ fd: openSync(this.#root, folderFlags), inside: '' })
    return this.#open.at(-1)!
  }
}
