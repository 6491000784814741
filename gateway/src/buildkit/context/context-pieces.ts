import { createHash, hash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import type { TreeEntry } from '#api/tree.ts'
import { tarEnd, tarHeader, tarPadding } from './context-tar.ts'

const pieceBytes = 1024 * 1024
/** Smaller files are read in place: a trip through the thread pool costs more than the reading. */
const smallFileBytes = 64 * 1024
/** Room for one more header (a path and a link's target are at most 4 KiB each), a small file and the end. */
const reserveBytes = 128 * 1024
/** The longest that one archive may hold up the others of its thread. */
const sliceMs = 8

/** A file is not what the tree says. */
const changed = (path: string, cause?: unknown): Problem =>
  new Problem('source-changed', `The file ${path} changed.`, { cause, facts: { path } })

type File = Extract<TreeEntry, { type: 'file' }>
// Never through a link, and never waiting: what was put in a file's place may be a pipe.
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** The archive of a tree, made while it is read. Each piece has memory of its own, so that it may be given away. */
export async function* archivePieces(
  root: string,
  entries: readonly TreeEntry[],
  mtimeSeconds: number,
): AsyncGenerator<Buffer, void> {
  let piece = Buffer.allocUnsafe(pieceBytes)
  let filled = 0
  const take = (): Buffer => {
    const taken = piece.subarray(0, filled)
    piece = Buffer.allocUnsafe(pieceBytes) // the one before may still be on its way out
    filled = 0
    return taken
  }
  const put = (bytes: Buffer) => void (filled += bytes.copy(piece, filled))
  let sliceEnd = performance.now() + sliceMs
  for (const entry of entries) {
    put(tarHeader(entry, mtimeSeconds))
    if (entry.type === 'file' && entry.sizeBytes <= smallFileBytes)
      filled += readSmall(root, entry, piece, filled)
    else if (entry.type === 'file') {
      yield take()
      yield* readLarge(root, entry)
    }
    if (entry.type === 'file') put(tarPadding(entry.sizeBytes))
    if (filled > pieceBytes - reserveBytes) yield take()
    if (performance.now() < sliceEnd) continue
    await nextTurn()
    sliceEnd = performance.now() + sliceMs
  }
  put(tarEnd)
  yield take()
}

/** Reads one byte more than there should be: so a file that grew shows, too. */
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
      coming = read() // while this part is summed and sent
      coming.catch(() => {}) // seen above, unless nobody wants more
      const part = buffer.subarray(0, bytesRead)
      sum.update(part)
      // The last part is held back until all of it is known to be right.
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
