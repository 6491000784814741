import { once } from 'node:events'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { errorCode, errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { DigestCheck } from './content-digest.ts'
import type { Limits } from './limits.ts'
import type { Meter } from './meter.ts'

type Watch = { limits: Limits; meter: Meter; digest: DigestCheck }

/** Yields the tar inside an upload as it arrives: counts, hashes and decompresses the body. */
export async function* tarBytes(
  body: AsyncIterable<Buffer>,
  watch: Watch,
): AsyncGenerator<Buffer, void> {
  const pieces = counted(body, watch)
  const first = (await pieces.next()).value ?? Buffer.alloc(0)
  // Four bytes tell gzip, zstd and the rest apart. A slow sender may need several pieces for them.
  const head =
    first.length < 4 ? Buffer.concat([first, ...(await gather(pieces, 4 - first.length))]) : first
  const all = joined(head, pieces)
  const engine = decompressor(head, watch.limits)

  for await (const piece of engine ? decompressed(all, engine) : all) {
    watch.meter.expanded(piece.length)
    yield piece
  }
}

/** Counts and hashes the body as sent. */
async function* counted(
  body: AsyncIterable<Buffer>,
  { meter, digest }: Watch,
): AsyncGenerator<Buffer, void> {
  for await (const piece of body) {
    meter.sent(piece.length)
    digest.update(piece)
    yield piece
  }
}

async function gather(pieces: AsyncGenerator<Buffer, void>, bytes: number): Promise<Buffer[]> {
  const found: Buffer[] = []
  for (let missing = bytes; missing > 0;) {
    const next = await pieces.next()
    if (next.done) break
    found.push(next.value)
    missing -= next.value.length
  }
  return found
}

async function* joined(
  head: Buffer,
  rest: AsyncGenerator<Buffer, void>,
): AsyncGenerator<Buffer, void> {
  if (head.length > 0) yield head
  yield* rest
}

type Decompressor = ReturnType<typeof createGunzip> | ReturnType<typeof createZstdDecompress>

function decompressor(head: Buffer, limits: Limits): Decompressor | null {
  const chunkSize = 64 * 1024
  if (head.length >= 2 && head.readUInt16BE() === 0x1f8b) return createGunzip({ chunkSize })
  if (head.length < 4 || !beginsZstd(head.readUInt32LE())) return null
  const windowLog = Math.floor(Math.log2(limits.windowBytes))
  return createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: windowLog } })
}

/** A frame with data, or one to skip: pzstd puts one before each frame (RFC 8878, 3.1.2). */
const beginsZstd = (magic: number): boolean => magic === 0xfd2fb528 || magic >>> 4 === 0x184d2a5

/** Decompresses all members of gzip and all frames of zstd in a body. */
async function* decompressed(
  pieces: AsyncIterable<Buffer>,
  engine: Decompressor,
): AsyncGenerator<Buffer, void> {
  const over = new AbortController()
  const fed = new FedBytes()
  let isEnded = false

  const feed = async () => {
    for await (const piece of pieces) {
      fed.add(piece)
      if (isEnded) fed.checkPadding(engine.bytesWritten)
      if (isEnded || engine.write(piece)) continue
      await once(engine, 'drain', { signal: over.signal }).catch((error: unknown) => {
        if (!isEnded) throw error
      })
    }
    engine.end()
  }

  const feeding = feed()
  feeding.catch((error: Error) => engine.destroy(error))
  try {
    const expanded: AsyncIterable<Buffer> = engine
    yield* expanded

    // The decompressor stops where no further member or frame begins. Read the rest of the body.
    isEnded = true
    over.abort()
    await feeding
  } catch (error) {
    throw error instanceof Problem ? error : damaged(error)
  } finally {
    over.abort()
    engine.destroy()
  }

  fed.checkPadding(engine.bytesWritten)
}

/** Counts a body, to find other bytes than padding after its compressed data. */
class FedBytes {
  #bytes = 0
  /** The zeros at the end so far. */
  #zeroBytes = 0

  add(piece: Buffer): void {
    let zeroBytes = 0
    while (zeroBytes < piece.length && piece[piece.length - 1 - zeroBytes] === 0) zeroBytes++
    this.#zeroBytes = zeroBytes < piece.length ? zeroBytes : this.#zeroBytes + zeroBytes
    this.#bytes += piece.length
  }

  /**
   * Refuses other bytes than zeros after the first `usedBytes`. GNU tar fills the last record of a
   * compressed archive with zeros when it writes to a device, such as `tar czf /dev/stdout`.
   */
  checkPadding(usedBytes: number): void {
    if (this.#bytes - usedBytes > this.#zeroBytes)
      throw new Problem('archive-corrupt', 'There are bytes after the end of the compressed data.')
  }
}

function damaged(error: unknown): Problem {
  const code = errorCode(error)
  if (code === 'Z_BUF_ERROR')
    return new Problem('archive-truncated', 'The compressed data ends too early.')
  if (code === 'ZSTD_error_frameParameter_windowTooLarge')
    return new Problem(
      'archive-too-large',
      'Unpacking it takes too much memory. Compress it without --long or --ultra.',
    )
  return new Problem(
    'archive-corrupt',
    `The compressed data is damaged (${errorMessage(error)}).`,
    {
      cause: error,
    },
  )
}
