import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

const algorithm = 'aes-256-gcm'
const ivBytes = 12
const tagBytes = 16

/** Encrypts a token with a key that the cookie gives. */
export function sealToken(cookie: string, token: string): Uint8Array {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv(algorithm, keyOf(cookie), iv)
  const sealed = Buffer.concat([cipher.update(token, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed])
}

/** Null: another cookie sealed it, or the record is damaged. */
export function openToken(cookie: string, sealed: Uint8Array): string | null {
  const bytes = Buffer.from(sealed)
  if (bytes.length < ivBytes + tagBytes) return null
  const decipher = createDecipheriv(algorithm, keyOf(cookie), bytes.subarray(0, ivBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes))
  try {
    const token = [decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]
    return Buffer.concat(token).toString('utf8')
  } catch {
    return null
  }
}

/** The label keeps it apart from the hash that the store has of the same cookie. */
const keyOf = (cookie: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', cookie, '', 'tarmac dashboard session', 32))
