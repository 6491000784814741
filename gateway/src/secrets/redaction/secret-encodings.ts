import { isUtf8 } from 'node:buffer'

/** Shorter texts are too common to redact. */
const minLetters = 6
/**
 * Longer texts are searched piece by piece. So little text is held back, and a single piece of a
 * secret is found, too.
 */
const pieceLetters = 64
/** Longer values are searched only in their usual forms, because each form costs memory. */
const longBytes = 1024

/**
 * The texts to search for, so that these values are found in all forms that programs print. Line
 * breaks are removed.
 */
export function secretEncodings(values: Iterable<string | Uint8Array>): Set<string> {
  const found = new Set<string>()
  for (const value of values)
    for (const form of formsOf(Buffer.from(value))) {
      const letters = form.replaceAll(/[\r\n]/g, '')
      if (letters.length < minLetters) continue
      for (let from = 0; from < letters.length; from += pieceLetters) {
        // The last piece has full length, too.
        const begin = Math.min(from, Math.max(0, letters.length - pieceLetters))
        found.add(letters.slice(begin, begin + pieceLetters))
      }
    }
  return found
}

function formsOf(value: Buffer): string[] {
  const text = isUtf8(value) ? value.toString().trim() : null
  const bytes = text === null ? value : Buffer.from(text)
  if (bytes.length < minLetters) return []

  const hex = bytes.toString('hex')
  const base64 = [bytes.toString('base64url'), bytes.toString('base64')]
  const encoded = [
    hex,
    hex.toUpperCase(),
    ...base64,
    ...[0, 1, 2].flatMap((offset) => inBase64(bytes, offset)),
  ]

  if (text === null) return encoded
  const lines = text.split(/[\r\n]+/).map((line) => line.trim())
  const usual = [
    text,
    ...lines,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    ...encoded,
  ]

  return bytes.length > longBytes ? usual : [...usual, ...rareForms(text)]
}

/**
 * The value inside the base64 of something longer, after `offset` bytes. It leaves out the letters
 * that also depend on the bytes around it.
 */
function inBase64(bytes: Buffer, offset: number): string[] {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes])
  const text = whole.toString('base64url')
  const own = text.slice(offset === 0 ? 0 : offset + 1, whole.length % 3 === 0 ? undefined : -1)
  return [own, own.replaceAll('-', '+').replaceAll('_', '/')]
}

/** Reversed, quoted for a shell, and in the JSON and URL encodings of other programs. */
function rareForms(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1)
  const ascii = json.replaceAll(
    /[^\0-\x7f]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

  const url = encodeURIComponent(text)
  const strict = url.replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  const inForm = new URLSearchParams([['', text]]).toString().slice(1).replaceAll('+', '%20')

  const urls = [url, strict, inForm].flatMap((form) => [
    form,
    form.replaceAll('%2F', '/'),
    form.replaceAll('%20', '+'),
  ])
  const inLowerCase = urls.map((form) => form.replaceAll(/%../g, (code) => code.toLowerCase()))
  const reversed = Array.from(text).toReversed().join('')

  return [
    reversed,
    text.replaceAll("'", `'\\''`),
    ascii,
    json.replaceAll('/', '\\/'),
    ...urls,
    ...inLowerCase,
  ]
}
