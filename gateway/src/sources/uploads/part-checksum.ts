import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'
import type { UploadChecksum } from '#api/sources/upload.ts'

/** Checks the bytes of one request against their `Upload-Checksum`. */
export class PartChecksum {
  readonly #wanted: UploadChecksum
  readonly #hash: ReturnType<typeof createHash>

  constructor(wanted: UploadChecksum) {
    this.#wanted = wanted
    this.#hash = createHash(wanted.algorithm)
  }

  update(piece: Buffer): void {
    this.#hash.update(piece)
  }

  /** Call it once, after the last byte. */
  verify(): void {
    const { algorithm, digest } = this.#wanted
    const found = this.#hash.digest()
    if (found.equals(digest)) return
    throw new Problem(
      'upload-checksum-mismatch',
      'The bytes of this request changed on the way, and none of them was kept. Send them again.',
      { facts: { algorithm, wanted: base64Of(digest), found: base64Of(found) } },
    )
  }
}

const base64Of = (digest: Uint8Array) => Buffer.from(digest).toString('base64')
