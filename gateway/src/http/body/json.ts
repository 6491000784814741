import { errorMessage } from '#api/error-code.ts'
import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'

/** Nesting of arrays and objects. The API needs 6. More could overflow recursive code's stack. */
const maxJsonDepth = 32

/** Parses a caller's JSON. Throws `request-invalid` if invalid, too deep, or with `__proto__`. */
export function parseJson(text: string): unknown {
  refuseByShape(text)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Problem('request-invalid', `The body is not JSON: ${errorMessage(cause)}.`, { cause })
  }
}

/** The body, or the text of a form's field, as a JSON object. */
export function asObject(body: unknown): Record<string, unknown> {
  const value = typeof body === 'string' ? parseJson(body) : body
  if (isObject(value)) return value
  throw new Problem('request-invalid', 'The body is not a JSON object, like {"source": …}.')
}

/** Checks depth and keys in one pass over the text, before parsing. */
function refuseByShape(text: string): void {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (letter === '"') {
      const end = endOfString(text, at)
      if (isPrototype(text, at, end))
        throw new Problem(
          'request-invalid',
          'The JSON has a key named __proto__, which is not allowed. Leave it out.',
        )
      at = end
    } else if (letter === '[' || letter === '{') depth++
    else if (letter === ']' || letter === '}') depth--
    if (depth > maxJsonDepth)
      throw new Problem(
        'request-invalid',
        `The JSON has more than ${maxJsonDepth} nested arrays and objects.`,
      )
  }
}

/** The index of the quote that ends the string at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

/**
 * Whether this string is a key `__proto__`. Code that copies an object key by key loses it, so the
 * gateway would silently ignore it.
 */
function isPrototype(text: string, start: number, end: number): boolean {
  const first = text[start + 1]
  if (first !== '_' && first !== '\\') return false
  const written = text.slice(start + 1, Math.min(end, start + 60))
  const letters = written.replaceAll(/\\u00([0-9a-f]{2})/gi, (_, code: string) =>
    String.fromCharCode(parseInt(code, 16)),
  )
  return letters === '__proto__' && /^\s*:/.test(text.slice(end + 1, end + 20))
}
