import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Writes a stream into a file that only its owner can read, and syncs it. Returns the size and the
 * SHA-256 digest as base64.
 */
export async function writeHashed(
  body: Readable,
  file: string,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      hash.update(chunk)
      done(null, chunk)
    },
  })
  await pipeline(body, counter, createWriteStream(file, { mode: 0o600, flush: true }))
  return { bytes, sha256: hash.digest('base64') }
}
