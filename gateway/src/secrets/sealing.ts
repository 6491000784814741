import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { Problem } from '#api/problem.ts'

const cipher = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
/** How many bytes longer a value is when sealed. */
export const sealedExtraBytes = nonceBytes + tagBytes

/** An encrypted value. `keyId` names the key that opens it. */
export type Sealed = { keyId: string; sealed: Uint8Array }
/** Where a sealed value belongs: it opens only there. `what` names it in problems. */
export type Place = { owner: string; name: string; what?: string }

/** The keys of the operator: the first seals, and all of them open. */
export class SealingKeys {
  readonly #key: Uint8Array | null
  readonly #byId: ReadonlyMap<string, Uint8Array>

  /** Without a key nothing is sealed or opened. */
  constructor(key: Uint8Array | null, old: readonly Uint8Array[] = []) {
    this.#key = key
    const all = key ? [key, ...old] : []
    this.#byId = new Map(all.map((each) => [keyIdOf(each), each]))
  }

  /** The key that seals. Null: there is none. */
  get currentId(): string | null {
    return this.#key && keyIdOf(this.#key)
  }

  /** Of all keys, the one that seals first. */
  get ids(): string[] {
    return [...this.#byId.keys()]
  }

  /** Throws `secrets-unavailable` without a key. */
  assertKey(): void {
    this.#keyOrProblem()
  }

  seal({ owner, name }: Place, value: Uint8Array): Sealed {
    const key = this.#keyOrProblem()
    const nonce = randomBytes(nonceBytes)
    const sealing = createCipheriv(cipher, key, nonce).setAAD(placeOf(owner, name))
    const text = Buffer.concat([sealing.update(value), sealing.final()])
    return { keyId: keyIdOf(key), sealed: Buffer.concat([nonce, sealing.getAuthTag(), text]) }
  }

  /** Throws `secrets-unavailable`, which says whether the key is missing or the value is damaged. */
  open({ owner, name, what = `The secret ${name}` }: Place, { keyId, sealed }: Sealed): Buffer {
    this.#keyOrProblem()
    const key = this.#byId.get(keyId)
    const facts = { secret: name }
    if (!key)
      throw new Problem(
        'secrets-unavailable',
        `${what} was encrypted with another key (${keyId}, not ${this.ids.join(' or ')}). Nothing was deleted: add that key to TARMAC_SECRETS_OLD_KEYS and start the gateway again, or store the value again.`,
        { facts },
      )
    try {
      const opening = createDecipheriv(cipher, key, sealed.subarray(0, nonceBytes), {
        authTagLength: tagBytes,
      })
      opening
        .setAAD(placeOf(owner, name))
        .setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
      const text = opening.update(sealed.subarray(nonceBytes + tagBytes))
      return Buffer.concat([text, opening.final()])
    } catch (cause) {
      const detail = `${what} is damaged in the database, although the key is right. Store it again.`
      throw new Problem('secrets-unavailable', detail, { cause, facts })
    }
  }

  /** A keyed hash under each key, the one that seals first. Throws `secrets-unavailable`. */
  hashes(of: (key: Uint8Array) => string): [string, ...string[]] {
    const [, ...old] = this.#byId.values()
    return [of(this.#keyOrProblem()), ...old.map(of)]
  }

  #keyOrProblem(): Uint8Array {
    if (this.#key) return this.#key
    const howTo =
      'Its operator sets TARMAC_SECRETS_KEY to 32 random bytes (openssl rand -base64 32) and starts it again.'
    throw new Problem('secrets-unavailable', `The gateway has no key for secrets. ${howTo}`)
  }
}

/** Authenticated with each value, so that a sealed value opens only for its owner and name. */
const placeOf = (owner: string, name: string) => Buffer.from(`${owner}\0${name}`)
const keyIdOf = (key: Uint8Array) =>
  createHmac('sha256', key).update('tarmac key id').digest('hex').slice(0, 12)
