import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'

const piece = Buffer.alloc(1024 * 1024)

/** The SHA-256 of a file's content. Follows no link. */
export function hashFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const hash = createHash('sha256')
    for (;;) {
      const read = readSync(file, piece, 0, piece.length, null)
      if (read === 0) return hash.digest('hex')
      hash.update(piece.subarray(0, read))
    }
  } finally {
    closeSync(file)
  }
}
