/**
 * Limits for JSON from outside. Real plans and machine configs have fewer than 20 levels and a few
 * thousand values.
 */
export const jsonLimits = { depth: 100, parts: 50_000 }

/**
 * Parses JSON from outside. It refuses deep nesting before it parses, because later readers recurse
 * per level and would overflow the stack. It also refuses too many values, because each takes time.
 * Throws a SyntaxError.
 */
export function parseJson(
  text: string,
  reviver?: (key: string, value: unknown) => unknown,
): unknown {
  const flaw = flawOf(text)
  if (flaw) throw new SyntaxError(flaw)
  return JSON.parse(text, reviver)
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c]
/** `[` and `{` differ in one bit, and so do `]` and `}`. */
const [bracketBit, opening, closing] = [0x20, 0x7b, 0x7d]

function flawOf(text: string): string | null {
  let [depth, parts] = [0, 0]
  let inText = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (inText) {
      if (code === backslash) at++
      else if (code === quote) inText = false
    } else if (code === quote) inText = true
    else if (code === comma) parts++
    else if ((code | bracketBit) === opening) [depth, parts] = [depth + 1, parts + 1]
    else if ((code | bracketBit) === closing) depth--
    if (depth > jsonLimits.depth)
      return `more than ${jsonLimits.depth} objects and lists are nested in each other`
    if (parts > jsonLimits.parts) return `it has more than ${jsonLimits.parts} values`
  }

  return null
}
