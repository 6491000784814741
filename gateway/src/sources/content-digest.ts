import { createHash, type Hash } from 'node:crypto'
import { Problem } from '#api/problem.ts'

const algorithms: Record<string, string> = { 'sha-256': 'sha256', 'sha-512': 'sha512' }

/** Waits for a digest that comes after the body, as a trailer. Undefined: it did not come. */
export type LateDigest = () => Promise<string | undefined>

/** Checks a stream of bytes against a `Content-Digest` or `Repr-Digest` field (RFC 9530). */
export class DigestCheck {
  readonly #wanted: Map<string, string>
  /** By algorithm, so each byte is hashed at most twice. */
  readonly #hashes: Map<string, Hash>

  /** `field`: what the header says. `isLate`: the field may come after the bytes, to `verify`. */
  constructor(field: string | undefined, isLate = false) {
    this.#wanted = digestsIn(field)
    const names = isLate ? Object.keys(algorithms) : [...this.#wanted.keys()]
    this.#hashes = new Map(names.map((name) => [name, createHash(algorithms[name]!)]))
  }

  update(bytes: Buffer): void {
    for (const hash of this.#hashes.values()) hash.update(bytes)
  }

  /** Call it once, after the last byte, with the field that came after it. */
  verify(late?: string): void {
    for (const [algorithm, digest] of late === undefined ? this.#wanted : digestsIn(late)) {
      const found = this.#hashes.get(algorithm)!.digest()
      if (!found.equals(Buffer.from(digest, 'base64')))
        throw new Problem(
          'digest-mismatch',
          'The bytes changed on the way. Send the archive again.',
          { facts: { algorithm, wanted: digest, found: found.toString('base64') } },
        )
    }
  }
}

/** The digests in a field. Of two with the same algorithm the last counts (RFC 9651). */
function digestsIn(field: string | undefined): Map<string, string> {
  const found = new Map<string, string>()
  if (field === undefined) return found
  for (const member of field.split(',')) {
    const [, algorithm = '', digest = ''] =
      /^\s*([a-z0-9-]+)=:([A-Za-z0-9+/]+={0,2}):\s*$/.exec(member) ?? []
    if (Object.hasOwn(algorithms, algorithm)) found.set(algorithm, digest)
  }
  if (found.size > 0) return found
  throw new Problem(
    'digest-unsupported',
    'Send the digest as sha-256=:BASE64: or sha-512=:BASE64:, or send none.',
  )
}
