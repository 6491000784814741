import { isUtf8 } from 'node:buffer'

/** Shorter texts are too common to be hidden. */
const minLetters = 6
/** Longer texts are looked for piece by piece: what must be held back, and a piece that stands alone, stays short. */
const pieceLetters = 64

/** What to look for so that these values are found in all the forms that programs print them in; without line breaks. */
export function secretForms(values: Iterable<string | Uint8Array>): Set<string> {
  const found = new Set<string>()
  for (const value of values)
    for (const form of formsOf(Buffer.from(value))) {
      const letters = form.replaceAll(/[\r\n]/g, '')
      if (letters.length < minLetters) continue
      for (let from = 0; from < letters.length; from += pieceLetters) {
        const begin = Math.min(from, Math.max(0, letters.length - pieceLetters)) // the last piece is a whole one too
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
  const encoded = [hex, hex.toUpperCase(), ...[0, 1, 2].flatMap((offset) => inBase64(bytes, offset))]
  if (text === null) return encoded
  const lines = text.split(/[\r\n]+/).map((line) => line.trim())
  const reversed = Array.from(text).toReversed().join('')
  return [text, ...lines, reversed, text.replaceAll("'", `'\\''`), ...inJson(text), ...inUrl(text), ...encoded]
}

/** As it stands in the base64 of something longer, behind `offset` bytes: without the letters that its neighbours share. */
function inBase64(bytes: Buffer, offset: number): string[] {
  const whole = Buffer.concat([Buffer.alloc(offset), bytes])
  const text = whole.toString('base64url')
  const own = text.slice(offset === 0 ? 0 : offset + 1, whole.length % 3 === 0 ? undefined : -1)
  return [own, own.replaceAll('-', '+').replaceAll('_', '/')]
}

function inJson(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1)
  const ascii = json.replaceAll(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return [json, ascii, json.replaceAll('/', '\\/')]
}

function inUrl(text: string): string[] {
  const usual = encodeURIComponent(text.toWellFormed())
  const strict = usual.replaceAll(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
  return [usual, strict].flatMap((form) =>
    [form, form.replaceAll('%2F', '/'), form.replaceAll('%20', '+')].flatMap((one) => [
      one,
      one.replaceAll(/%../g, (code) => code.toLowerCase()),
    ]),
  )
}
