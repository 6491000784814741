import { basename, dirname } from 'node:path/posix'
import type { Staging } from '../staging.ts'
import { shownName } from './source-path.ts'
import type { TarReader } from './tar-reader.ts'
import type { TreeShape } from './tree-shape.ts'

/** The first bytes of an AppleDouble file (RFC 1740). */
const appleDouble = Buffer.from([0x00, 0x05, 0x16, 0x07])

/**
 * What macOS adds to an archive unasked. Its tar packs the attributes of each file NAME as a file
 * `._NAME`, and Finder leaves a `.DS_Store` in each folder. A program that reads all files of a
 * folder, such as a migration tool, fails on them.
 */
export class Companions {
  readonly #found: string[] = []

  /** Takes note of a file that may be one. The content must not be read yet. */
  async look(path: string, tar: Pick<TarReader, 'peek'>): Promise<void> {
    const name = basename(path)
    const isCompanion =
      name.startsWith('._') && (await tar.peek(appleDouble.length))?.equals(appleDouble)
    if (isCompanion || name === '.DS_Store') this.#found.push(path)
  }

  /** Removes them from the tree. Returns a line about it for people, or null. */
  leaveOut(shape: TreeShape, staging: Pick<Staging, 'drop'>): string | null {
    // A companion precedes its file in the archive, so only now it is known which have one.
    const left = new Set(
      this.#found.filter((path) => {
        const owner = ownerOf(path)
        return owner === null || shape.kindOf(owner) !== null
      }),
    )
    for (const path of left) staging.drop(path)
    const [first] = left
    if (first === undefined) return null
    return `Left out ${left.size} files that macOS adds to archives (._NAME, .DS_Store), such as ${shownName(Buffer.from(first))}. With COPYFILE_DISABLE=1 macOS's tar adds none.`
  }
}

/** The path of the file whose attributes a companion has: `._` alone is that of its folder. */
function ownerOf(path: string): string | null {
  const name = basename(path)
  if (name === '.DS_Store') return null
  const folder = dirname(path) === '.' ? '' : dirname(path)
  const owner = name.slice(2)
  if (owner === '' || owner === '.') return folder
  return folder === '' ? owner : `${folder}/${owner}`
}
