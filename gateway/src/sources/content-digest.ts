import { createHash } from 'node:crypto'
import { Problem } from '#api/problem.ts'

const algorithms: Record<string, string> = { 'sha-256': 'sha256', 'sha-512': 'sha512' }

/** Checks a stream of bytes against a `Content-Digest` or `Repr-Digest` header (RFC 9530). */
export class DigestCheck {
  /**
   * By algorithm. Of two digests with the same algorithm the last counts (RFC 9651), so each byte
   * is hashed at most twice.
   */
  readonly #wanted = new Map<string, { digest: string; hash: ReturnType<typeof createHash> }>()

  constructor(header: string | undefined) {
    if (header === undefined) return
    for (const member of header.split(',')) {
      const [, algorithm, digest] =
        /^\s*([a-z0-9-]+)=:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(member) ?? []
      const known = algorithm && algorithms[algorithm]
      if (known) this.#wanted.set(algorithm, { digest: digest!, hash: createHash(known) })
    }
    if (this.#wanted.size === 0)
      throw new Problem(
        'digest-unsupported',
        'Send the digest as sha-256=:BASE64: or sha-512=:BASE64:, or send none.',
      )
  }

  update(bytes: Buffer): void {
    for (const { hash } of this.#wanted.values()) hash.update(bytes)
  }

  /** Call it once, after the last byte. */
  verify(): void {
    for (const [algorithm, { digest, hash }] of this.#wanted) {
      const found = hash.digest()
      if (!found.equals(Buffer.from(digest, 'base64')))
        throw new Problem(
          'digest-mismatch',
          'The bytes changed on the way. Send the archive again.',
          { facts: { algorithm, wanted: digest, found: found.toString('base64') } },
        )
    }
  }
}
