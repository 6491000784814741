import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import { type TarEntry, tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'
import { unreadable } from '../ignore/read-if-there.ts'
import { type Compression, compressor, pieceBytes } from './compression.ts'

const readBytes = 256 * 1024
/** The time of all entries. */
const time = new Date(0)

export type Packing = {
  folder: string
  /** What is packed. `from`: the file in the folder that has the content, if `path` is another. */
  entries: readonly (TarEntry & { from?: string })[]
  compression: Compression
  /** Called with the bytes of file content added. */
  packed?: (bytes: number) => void
  /** Called with the SHA-256 of each file, as it was packed. What it throws ends the archive. */
  onFile?: (path: string, sha256: string) => void
}

/**
 * Packs entries as a tar. No times, no owners, modes 0755 and 0644: the same files give the same
 * bytes.
 */
export function packSource(packing: Packing): Readable {
  const compress = compressor(packing.compression)
  if (!compress) return Readable.from(gathered(tar(packing), newPiece), { objectMode: false })
  feed(gathered(tar(packing), inTurn(newPiece(), newPiece())), compress).catch((error: unknown) =>
    compress.destroy(asError(error)),
  )
  return compress
}

/** Fills one piece while the other is compressed. */
async function feed(pieces: Iterable<Buffer>, compress: Writable): Promise<void> {
  let before: Promise<void> = Promise.resolve()
  for (const piece of pieces) {
    await before
    if (compress.destroyed) return
    before = new Promise((resolve, reject) =>
      compress.write(piece, (error) => (error ? reject(error) : resolve())),
    )
  }
  await before
  compress.end()
}

const newPiece = () => Buffer.allocUnsafeSlow(pieceBytes)

/** The same two pieces again and again: new memory for each would cost more than the copying. */
function inTurn(one: Buffer, other: Buffer): () => Buffer {
  let pieces: [Buffer, Buffer] = [one, other]
  return () => {
    pieces = [pieces[1], pieces[0]]
    return pieces[0]
  }
}

const asError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))

/** Joins small parts to large pieces. */
function* gathered(parts: Iterable<Buffer>, nextPiece: () => Buffer): Generator<Buffer> {
  let piece = nextPiece()
  let filled = 0
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      const copied = part.copy(piece, filled, at)
      at += copied
      filled += copied
      if (filled < pieceBytes) continue
      yield piece
      piece = nextPiece()
      filled = 0
    }
  }
  yield piece.subarray(0, filled)
}

function* tar({ folder, entries, packed, onFile }: Packing): Generator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  for (const entry of entries) {
    yield tarHeader(entry, time)
    if (entry.type !== 'file') continue
    const from = entry.from ?? entry.path
    const hash = onFile && createHash('sha256')
    for (const part of content(folder, { ...entry, path: from }, buffer)) {
      hash?.update(part)
      packed?.(part.length)
      yield part
    }
    if (hash) onFile(from, hash.digest('hex'))
    yield tarPadding(entry.sizeBytes)
  }
  yield tarEnd
}

/**
 * Yields the content of a file, in the same buffer each time. It reads without waiting in between:
 * for small files the waits would take longer than the reads. Throws `source-unreadable`, and
 * `archive-truncated` if the file has another size than before.
 */
export function* content(
  folder: string,
  { path, sizeBytes }: { path: string; sizeBytes: number },
  buffer: Buffer,
): Generator<Buffer> {
  const file = openFile(folder, path)
  try {
    let left = sizeBytes
    for (;;) {
      // One byte more than expected, to see that a file has grown.
      const read = readPart(file, buffer.subarray(0, Math.min(left + 1, buffer.length)), path)
      if (read > left || (read === 0 && left > 0)) throw unsteady(path)
      if (read === 0) return
      yield buffer.subarray(0, read)
      left -= read
    }
  } finally {
    closeSync(file)
  }
}

/** The SHA-256 of a file's content. */
export function hashFile(
  folder: string,
  file: { path: string; sizeBytes: number },
  buffer: Buffer,
): string {
  const hash: Hash = createHash('sha256')
  for (const part of content(folder, file, buffer)) hash.update(part)
  return hash.digest('hex')
}

function openFile(folder: string, path: string): number {
  try {
    // Windows has no such flag.
    return openSync(join(folder, path), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch (error) {
    throw unreadable(path, error)
  }
}

function readPart(file: number, into: Buffer, path: string): number {
  try {
    return readSync(file, into)
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** The problem of a file that another program writes while it is sent. */
export const unsteady = (path: string): Problem =>
  new Problem('archive-truncated', `${path} changed while it was packed; send it again.`, {
    facts: { path },
  })
