import { Problem } from '#api/problem.ts'

/** Arrays and objects inside each other; what the API takes needs six. Deeper ones overflow the stack of who walks them. */
const maxJsonDepth = 32

/** Reads JSON from a caller. Throws `request-invalid` for what is no JSON, too deep, or would change an object's prototype. */
export function parseJson(text: string): unknown {
  if (isTooDeep(text))
    throw new Problem('request-invalid', `The JSON has more than ${maxJsonDepth} arrays and objects inside each other.`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Problem('request-invalid', `The body is not JSON: ${(cause as Error).message}.`, { cause })
  }
  refusePrototype(value)
  return value
}

/** The body, or the text of a form's field, as a JSON object. */
export function asObject(given: unknown): Record<string, unknown> {
  const value = typeof given === 'string' ? parseJson(given) : given
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Problem('request-invalid', 'The body is not a JSON object, like {"source": …}.')
}

/** Looked up before parsing, in one pass over the text. */
function isTooDeep(text: string): boolean {
  let depth = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (inString) {
      if (letter === '\\') at++
      else if (letter === '"') inString = false
    } else if (letter === '"') inString = true
    else if (letter === '[' || letter === '{') depth++
    else if (letter === ']' || letter === '}') depth--
    if (depth > maxJsonDepth) return true
  }
  return false
}

/** Such a key is lost wherever an object is copied key by key, so it would be ignored without a word. */
function refusePrototype(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value) && Object.hasOwn(value, '__proto__'))
    throw new Problem('request-invalid', 'The JSON has a key named __proto__, which is not taken. Leave it out.')
  for (const each of Object.values(value)) refusePrototype(each)
}
