import { buffer } from 'node:stream/consumers'
import type { Compression } from '../deploy/compression.ts'
import { packSource, unsteady } from '../deploy/pack-source.ts'

/** A file of the folder that the gateway has to get. Its name in a pack is its hash. */
export type MissingFile = {
  sha256: string
  path: string
  sizeBytes: number
  mode: 0o755 | 0o644
}

/** A pack has about so much content. A larger file is sent on its own, and resumes inside. */
export const packBytes = 32 * 2 ** 20
const smallestPackBytes = 2 ** 20

/** Files that wait to be sent, as packs. */
export class PackQueue {
  #waiting: MissingFile[]
  #limitBytes = packBytes

  constructor(files: readonly MissingFile[]) {
    this.#waiting = [...files]
  }

  /** Takes the files of the next pack. Null: none are left. */
  next(): MissingFile[] | null {
    let bytes = 0
    let count = 0
    for (const { sizeBytes } of this.#waiting) {
      if (count > 0 && bytes + sizeBytes > this.#limitBytes) break
      bytes += sizeBytes
      count++
    }
    return count === 0 ? null : this.#waiting.splice(0, count)
  }

  /** Takes back a pack that did not arrive. */
  putBack(pack: readonly MissingFile[]): void {
    this.#waiting.unshift(...pack)
  }

  /** Makes packs smaller from now on: on a line that breaks often, a large one never arrives. */
  shrink(): void {
    this.#limitBytes = Math.max(smallestPackBytes, this.#limitBytes / 2)
  }
}

/** Packs files of a folder. Throws `archive-truncated` for one that is no longer what it was. */
export function packOf(
  folder: string,
  files: readonly MissingFile[],
  compression: Compression,
): Promise<Buffer> {
  const hashes = new Map(files.map(({ path, sha256 }) => [path, sha256]))
  return buffer(
    packSource({
      folder,
      entries: files.map(({ path: from, sha256: path, sizeBytes, mode }) => {
        return { type: 'file', path, from, mode, sizeBytes }
      }),
      compression,
      onFile(path, sha256) {
        if (hashes.get(path) !== sha256) throw unsteady(path)
      },
    }),
  )
}
