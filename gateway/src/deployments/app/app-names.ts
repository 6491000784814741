import { trimEnd } from '#api/text/trim-end.ts'

/** Digits and letters that cannot be mistaken for each other: 32, so that each byte counts the same. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
/** Fly's limit for the name of an app. */
const appChars = 63

/** One letter of the alphabet for each byte. */
export const lettersOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => alphabet[byte % alphabet.length]).join('')

/** The name of an app on Fly that ends with an id. `words`: what people see of it, cut to fit. */
export const nameEndingWith = (id: string, words: string): string =>
  `${trimEnd(words.slice(0, appChars - id.length - 1), '-')}-${id}`
