import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import * as zlib from 'node:zlib'
import { Problem } from '#api/problem.ts'
import { tarEnd, tarHeader, tarPadding } from '#api/tar-writer.ts'
import type { Entry } from './list-source.ts'
import { unreadable } from '../ignore/read-if-there.ts'

const smallBytes = 256 * 1024
const readsAhead = 32
/** The time of all entries. */
const time = new Date(0)

/**
 * Packs entries as a compressed tar: zstd, or gzip if this Node has no zstd. No times, no owners,
 * modes 0755 and 0644: the same files give the same bytes. `packed` is called with the bytes of
 * file content added.
 */
export function packSource(
  folder: string,
  entries: Entry[],
  packed: (bytes: number) => void,
): Readable {
  const compress =
    typeof zlib.createZstdCompress === 'function' ? zlib.createZstdCompress() : zlib.createGzip()
  return pipeline(Readable.from(gathered(tar(folder, entries, packed))), compress, () => {})
}

/** Joins small pieces to large ones: each piece costs the compressor a turn. */
async function* gathered(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let waitingBytes = 0
  for await (const piece of pieces) {
    waiting.push(piece)
    waitingBytes += piece.length
    if (waitingBytes < smallBytes) continue
    yield Buffer.concat(waiting)
    waiting = []
    waitingBytes = 0
  }

  yield Buffer.concat(waiting)
}

async function* tar(
  folder: string,
  entries: Entry[],
  packed: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  // Reads a few small files ahead: opening them one by one would take longer than sending them.
  const ahead: (Promise<Buffer> | null)[] = []
  let next = 0
  for (const entry of entries) {
    while (ahead.length < readsAhead && next < entries.length)
      ahead.push(readSmall(folder, entries[next++]!))
    const whole = ahead.shift()
    yield tarHeader(entry, time)
    if (entry.type !== 'file' || entry.sizeBytes === 0) continue
    const content: Iterable<Promise<Buffer>> | AsyncIterable<Buffer> = whole
      ? [whole]
      : createReadStream(join(folder, entry.path), { end: entry.sizeBytes - 1 })
    let left = entry.sizeBytes
    try {
      for await (const chunk of content) {
        left -= chunk.length
        packed(chunk.length)
        yield chunk
      }
    } catch (error) {
      throw unreadable(entry.path, error)
    }
    if (left !== 0)
      throw new Problem(
        'archive-truncated',
        `${entry.path} changed while it was packed; send it again.`,
      )
    yield tarPadding(entry.sizeBytes)
  }

  yield tarEnd
}

function readSmall(folder: string, entry: Entry): Promise<Buffer> | null {
  if (entry.type !== 'file' || entry.sizeBytes > smallBytes) return null
  const content = readFile(join(folder, entry.path))
  // The error is thrown when its turn comes.
  content.catch(() => {})
  return content
}
