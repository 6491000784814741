import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const mark = 'tmc_'
const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const [idLetters, secretLetters, sumLetters] = [12, 43, 6]
const secretBytes = 32
const whole = /^tmc_([0-9A-Za-z]{12})([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

/**
 * Makes the text of a token: a mark that secret scanners know, the id, a secret of 32 random bytes,
 * and a checksum. The letters are one word, so that a double click selects all of it.
 */
export function newToken(id = newTokenId()): { id: string; text: string; hash: Uint8Array } {
  const body = `${mark}${id}${inLetters(randomBytes(secretBytes), secretLetters)}`
  const text = body + sumOf(body)
  return { id, text, hash: hashOf(text.slice(mark.length + idLetters, -sumLetters)) }
}

const newTokenId = () => inLetters(randomBytes(8), idLetters)

/**
 * The parts of a token's text. Null: it is not of this kind. `damaged`: it begins like a token, but
 * letters are missing, added or changed.
 */
export function readToken(text: string): { id: string; hash: Uint8Array } | 'damaged' | null {
  if (!text.startsWith(mark)) return null
  const [, id = '', secret = '', sum = ''] = whole.exec(text) ?? []
  if (id === '' || sumOf(text.slice(0, -sumLetters)) !== sum) return 'damaged'
  return { id, hash: hashOf(secret) }
}

/**
 * A fast hash is right here: nobody can try 2^256 secrets, whatever one try costs. A slow one (for
 * passwords, which people choose) would only let strangers keep the gateway busy.
 */
const hashOf = (secret: string) => createHash('sha256').update(secret).digest()

const sumOf = (body: string) => {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return inLetters(sum, sumLetters)
}

/** The bytes as a number in base 62, with leading zeros. */
function inLetters(bytes: Buffer, count: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  while (text.length < count) {
    text = letters[Number(rest % 62n)]! + text
    rest /= 62n
  }
  return text
}
