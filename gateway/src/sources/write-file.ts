import { createHash, hash } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  openSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
const fresh = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY

/** A file of at most this size is written by synchronous calls. */
export const smallBytes = 64 * 1024

/** The mode of a source file on disk. Trees share their files, so nothing may write to one. */
export const diskMode = (mode: 0o755 | 0o644): number => mode & 0o555

/** Writes a new file in one go. */
export function writeSmall(path: string, mode: number, content: Buffer): void {
  const file = openSync(path, fresh, 0o600)
  try {
    writeFileSync(file, content)
    fchmodSync(file, mode)
  } finally {
    closeSync(file)
  }
}

/** Copies a file, synced, in place of what may be at `to`. The default mode is that of `from`. */
export function copySynced(from: string, to: string, mode?: number): void {
  copyFileSync(from, to)
  const file = openSync(to, 'r')
  try {
    if (mode !== undefined) fchmodSync(file, mode)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

export const sha256Of = (content: Buffer): string => hash('sha256', content)

/** Writes a new file while its content arrives. Returns the SHA-256 of its content. */
export async function writeLarge(
  path: string,
  mode: number,
  pieces: AsyncIterable<Buffer>,
): Promise<string> {
  const sha256 = createHash('sha256')
  await using file = await open(path, fresh, 0o600)
  let written = Promise.resolve()

  for await (const piece of pieces) {
    await written
    written = file.writeFile(piece) // runs while this piece is hashed and the next one arrives
    written.catch(() => {}) // the next await throws it, unless the body fails first
    sha256.update(piece)
  }

  await written
  await file.chmod(mode)
  return sha256.digest('hex')
}
