import { createHash, type Hash, hash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import { Beneath, fileFlags } from '../../host/beneath.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
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
export const changed = (path: string, cause?: unknown): Problem =>
  new Problem('source-changed', `The file ${path} changed.`, { cause, facts: { path } })

/**
 * The root of the tree, as the first entry. BuildKit takes a download for an archive only if its
 * first 1024 bytes hold a whole entry, and a pax header before the first name fills them.
 */
const rootEntry: TreeEntry = { type: 'folder', path: '.' }

/** The archive of a tree has these entries. */
export const archived = (entries: readonly TreeEntry[]): readonly TreeEntry[] => [
  rootEntry,
  ...entries,
]

/**
 * Yields an archive of these entries while it reads the files below the root. It follows no link.
 * Each piece has its own memory, so that the caller may transfer it.
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
  using tree = new Beneath(root)
  for (const entry of entries) {
    put(tarHeader(entry, time))
    if (entry.type === 'file' && entry.sizeBytes <= smallFileBytes)
      filled += readSmall(tree, entry, piece, filled)
    else if (entry.type === 'file') {
      yield take()
      yield* readLarge(tree, entry, createHash('sha256'))
    }
    if (entry.type === 'file') put(tarPadding(entry.sizeBytes))
    if (filled > pieceBytes - reserveBytes) yield take()
    await slice.yield()
  }

  put(tarEnd)
  yield take()
}

/** The same of a whole tree. */
export const archiveOf = (
  { root, entries }: Pick<SourceTree, 'root' | 'entries'>,
  time: Date,
): AsyncGenerator<Buffer, void> => archivePieces(root, entries, time)

/** Yields a large file in the size that it has in the tree. The daemon checks its content. */
export async function* filePieces(root: string, file: TreeFile): AsyncGenerator<Buffer, void> {
  using tree = new Beneath(root)
  yield* readLarge(tree, file, null)
}

/** Tries to read one byte more than expected, to notice a file that grew. */
function readSmall(tree: Beneath, file: TreeFile, into: Buffer, at: number): number {
  let read = -1
  try {
    const fd = openSync(tree.at(file.path), fileFlags)
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

/** `sum`: for the content. Null: only the size is checked. */
async function* readLarge(
  tree: Beneath,
  file: TreeFile,
  sum: Hash | null,
): AsyncGenerator<Buffer, void> {
  const handle = await openLarge(tree, file.path)
  try {
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
      sum?.update(part)
      // Hold the last part back until the hash and the size of the whole file are right.
      const isOther = left === 0 && sum !== null && sum.digest('hex') !== file.sha256
      if (isOther || (left === 0 && (await handle.stat()).size !== file.sizeBytes)) break
      yield part
      if (left === 0) return
    }
    throw changed(file.path)
  } finally {
    await handle.close()
  }
}

async function openLarge(tree: Beneath, path: string): Promise<FileHandle> {
  try {
    return await open(tree.at(path), fileFlags)
  } catch (cause) {
    throw changed(path, cause)
  }
}
