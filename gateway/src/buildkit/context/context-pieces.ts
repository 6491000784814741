import { createHash, hash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'
import type { TreeEntry } from '#api/tree.ts'
import { TimeSlice } from '../../time-slice.ts'

const pieceBytes = 1024 * 1024
/** Smaller files are read synchronously: the thread pool costs more time than the read. */
const smallFileBytes = 64 * 1024
/**
 * Space for one more header, a small file and the end. A path and a link target have at most 4 KiB
 * each.
 */
const reserveBytes = 128 * 1024
/** The longest time that one archive may block the others on its thread. */
const sliceMs = 8

/** The content of a file differs from the tree. */
const changed = (path: string, cause?: unknown): Problem =>
  new Problem('source-changed', `The file ${path} changed.`, { cause, facts: { path } })

type File = Extract<TreeEntry, { type: 'file' }>
// Do not follow links, and do not block: the file may have been replaced by a pipe.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Yields the archive of a tree while it reads the files. Each piece has its own memory, so that the
 * caller may transfer it.
 */
export async function* archivePieces(
  root: string,
  entries: readonly TreeEntry[],
  time: Date,
): AsyncGenerator<Buffer, void> {
  let piece = Buffer.allocUnsafe(pieceBytes)
  let filled = 0
  const take = (): Buffer => {
    const taken = piece.subarray(0, filled)
    piece = Buffer.allocUnsafe(pieceBytes) // the receiver may still use the old one
    filled = 0
    return taken
  }
  const put = (bytes: Buffer) => void (filled += bytes.copy(piece, filled))

  const slice = new TimeSlice(sliceMs)
  for (const entry of entries) {
    put(tarHeader(entry, time))
    if (entry.type === 'file' && entry.sizeBytes <= smallFileBytes)
      filled += readSmall(root, entry, piece, filled)
    else if (entry.type === 'file') {
      yield take()
      yield* readLarge(root, entry)
    }
    if (entry.type === 'file') put(tarPadding(entry.sizeBytes))
    if (filled > pieceBytes - reserveBytes) yield take()
    await slice.yield()
  }

  put(tarEnd)
  yield take()
}

/** Tries to read one byte more than expected, to notice a file that grew. */
function readSmall(root: string, file: File, into: Buffer, at: number): number {
  let read = -1
  try {
    const fd = openSync(`${root}/${file.path}`, openFlags)
    try {
      read = readSync(fd, into, at, file.sizeBytes + 1, null)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    throw changed(file.path, cause)
  }

  const same =
    read === file.sizeBytes && hash('sha256', into.subarray(at, at + read)) === file.sha256
  if (!same) throw changed(file.path)
  return read
}

async function* readLarge(root: string, file: File): AsyncGenerator<Buffer, void> {
  const handle = await open(`${root}/${file.path}`, openFlags).catch((cause) => {
    throw changed(file.path, cause)
  })
  try {
    const sum = createHash('sha256')
    let left = file.sizeBytes
    const read = () => handle.read(Buffer.allocUnsafe(Math.min(left, pieceBytes)))
    let coming = read()
    while (left > 0) {
      const { bytesRead, buffer } = await coming
      if (bytesRead === 0) break
      left -= bytesRead
      coming = read() // while this part is hashed and sent
      coming.catch(() => {}) // the next `await` reports it, unless the consumer stopped
      const part = buffer.subarray(0, bytesRead)
      sum.update(part)
      // Hold the last part back until the hash and the size of the whole file are right.
      if (
        left === 0 &&
        (sum.digest('hex') !== file.sha256 || (await handle.stat()).size !== file.sizeBytes)
      )
        break
      yield part
      if (left === 0) return
    }
    throw changed(file.path)
  } finally {
    await handle.close()
  }
}
