import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import * as zlib from 'node:zlib'
import { Problem } from '#api/problem.ts'
import type { Entry } from './list-source.ts'

const blockBytes = 512
const smallBytes = 256 * 1024
const readsAhead = 32

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
    yield header(entry)
    if (entry.type !== 'file' || entry.sizeBytes === 0) continue
    const content = whole
      ? [await whole]
      : createReadStream(join(folder, entry.path), { end: entry.sizeBytes - 1 })
    let left = entry.sizeBytes
    for await (const chunk of content as AsyncIterable<Buffer>) {
      left -= chunk.length
      packed(chunk.length)
      yield chunk
    }
    if (left !== 0)
      throw new Problem(
        'archive-truncated',
        `${entry.path} changed while it was packed; send it again.`,
      )
    yield padding(entry.sizeBytes)
  }

  yield Buffer.alloc(2 * blockBytes)
}

function readSmall(folder: string, entry: Entry): Promise<Buffer> | null {
  if (entry.type !== 'file' || entry.sizeBytes > smallBytes) return null
  const content = readFile(join(folder, entry.path))
  // The error is thrown when its turn comes.
  content.catch(() => {})
  return content
}

/** Values too large for ustar go into a pax header before it. */
function header(entry: Entry): Buffer {
  const path = entry.type === 'folder' ? `${entry.path}/` : entry.path
  const target = entry.type === 'link' ? entry.target : ''
  const sizeBytes = entry.type === 'file' ? entry.sizeBytes : 0
  const mode = entry.type === 'file' ? entry.mode : entry.type === 'folder' ? 0o755 : 0o777

  const records = [
    Buffer.byteLength(path) > 100 ? record('path', path) : '',
    Buffer.byteLength(target) > 100 ? record('linkpath', target) : '',
    sizeBytes >= 8 ** 11 ? record('size', String(sizeBytes)) : '',
  ].join('')
  const type = { file: '0', link: '2', folder: '5' }[entry.type]
  const own = block(path, type, mode, sizeBytes >= 8 ** 11 ? 0 : sizeBytes, target)
  if (!records) return own

  const body = Buffer.from(records)
  return Buffer.concat([
    block('PaxHeader', 'x', 0o644, body.length, ''),
    body,
    padding(body.length),
    own,
  ])
}

function block(
  path: string,
  type: string,
  mode: number,
  sizeBytes: number,
  target: string,
): Buffer {
  const bytes = Buffer.alloc(blockBytes)
  const octal = (value: number, at: number, length: number) =>
    bytes.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  Buffer.from(path).copy(bytes, 0, 0, 100)

  octal(mode, 100, 8)
  octal(0, 108, 8) // owner
  octal(0, 116, 8) // group
  octal(sizeBytes, 124, 12)
  octal(0, 136, 12) // time
  // The checksum counts its own field as spaces.
  bytes.write(`        ${type}`, 148, 'latin1')
  Buffer.from(target).copy(bytes, 157, 0, 100)
  bytes.write('ustar\x0000', 257, 'latin1')

  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

/** `17 path=…\n`: the number includes itself. */
function record(key: string, value: string): string {
  const bare = Buffer.byteLength(` ${key}=${value}\n`)
  let length = bare
  while (length !== bare + String(length).length) length = bare + String(length).length
  return `${length} ${key}=${value}\n`
}

const padding = (sizeBytes: number) =>
  Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes)
