import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'

/** How a source is compressed on its way. */
export const compressions = ['zstd', 'gzip', 'none'] as const
export type Compression = (typeof compressions)[number]

/** For each piece two threads wait for each other. Larger ones do not stay in the processor's cache. */
export const pieceBytes = 256 * 1024
const chunkSize = pieceBytes

/** Whether this Node has it: zstd came late. */
export const isKnownHere = (compression: Compression): boolean =>
  compression !== 'zstd' || typeof zlib.createZstdCompress === 'function'

export const bestCompression: Compression = isKnownHere('zstd') ? 'zstd' : 'gzip'

/** Compresses a stream on another thread. Null: nothing is compressed. */
export function compressor(compression: Compression): Transform | null {
  if (compression === 'none') return null
  return compression === 'zstd'
    ? zlib.createZstdCompress({ chunkSize })
    : zlib.createGzip({ chunkSize })
}

/** Compresses a small body at once. */
export function compressed(bytes: Buffer, compression: Compression): Buffer {
  if (compression === 'none') return bytes
  return compression === 'zstd' ? zlib.zstdCompressSync(bytes) : zlib.gzipSync(bytes)
}
