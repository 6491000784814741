/** The fly.toml of a real app has at most a few hundred. */
export const maxTomlParts = 5000

/**
 * An upper bound for the parts of a TOML document: lines, keys, tables and list items, outside of
 * texts and comments. It is counted before parsing, because parsing takes longer with more parts.
 */
export function tomlParts(text: string): number {
  let parts = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    if (char === '#') at = endOfLine(text, at)
    else if (char === '"' || char === "'") at = endOfText(text, at, char)
    else if (partMarks.has(char)) parts++
  }
  return parts
}

const partMarks = new Set(['\n', '=', ',', '[', '{', '.'])

/**
 * An upper bound for the parts of a YAML document. It counts those in texts and comments too,
 * because only a parser can tell them.
 */
export function yamlParts(text: string): number {
  let parts = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    if (yamlMarks.has(char) || (beforeSpace.has(char) && spaces.has(text[at + 1] ?? ' '))) parts++
  }
  return parts
}

/** Some count only because the parser takes quadratic time for a row of them. */
const yamlMarks = new Set(['\n', '\r', ',', '[', ']', '{', '}', '*', '&', '!', '"', "'"])
const beforeSpace = new Set(['-', ':', '?'])
const spaces = new Set([' ', '\t', '\n', '\r'])

/** Where the line of a comment ends. */
function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end - 1
}

/**
 * Where the text that begins here ends. A one-line text ends with its line, so that an open quote
 * hides nothing.
 */
function endOfText(text: string, from: number, quote: string): number {
  const long = quote.repeat(3)
  const isLong = text.startsWith(long, from)
  const close = isLong ? long : quote
  for (let at = from + close.length; at < text.length; at++) {
    if (text[at] === '\\' && quote === '"') at++
    else if (text[at] === '\n' && !isLong) return at - 1
    else if (text.startsWith(close, at)) return at + close.length - 1
  }
  return text.length
}

/**
 * Whether a value nests objects or lists deeper than `levels`. The check itself goes no deeper than
 * that.
 */
export function isDeeperThan(value: unknown, levels: number): boolean {
  let row: unknown[] = [value]
  for (let level = 0; ; level++) {
    const next: unknown[] = row.flatMap((each) =>
      typeof each === 'object' && each !== null ? Object.values(each) : [],
    )
    if (next.length === 0) return false
    if (level >= levels) return true
    row = next
  }
}
