import { Problem } from '../problem.ts'
import { cleanPath } from '../text/clean-path.ts'

/** A token of an ignore pattern. Characters are Unicode code points. */
export type Token =
  | { kind: 'literal'; char: number }
  /** `?`: one character of a name. */
  | { kind: 'any' }
  | { kind: 'class'; text: string; holds: (char: number) => boolean }
  /** `*`: any characters of a name. */
  | { kind: 'name' }
  /** `**` at the end: any characters of a path. */
  | { kind: 'path' }
  /** `**` before more: any folders or none. */
  | { kind: 'folders' }

/**
 * Reads an ignore pattern like moby's patternmatcher. Null for an empty one. Throws `build-failed`
 * for a bad one.
 */
export function readPattern(line: string): { isException: boolean; tokens: Token[] } | null {
  const trimmed = line.trim()
  if (trimmed === '') return null

  const cleaned = cleanPath(trimmed)
  const isException = cleaned.startsWith('!')
  const pattern = isException ? cleaned.slice(1) : cleaned

  try {
    if (pattern === '') throw new Error('nothing after "!"')
    return { isException, tokens: tokensOf(Array.from(pattern)) }
  } catch (cause) {
    const detail = `The ignore pattern ${JSON.stringify(line)} cannot be read. Correct it and deploy again.`
    throw new Problem('build-failed', detail, { cause })
  }
}

function tokensOf(chars: string[]): Token[] {
  // `**` before plain text also matches in the middle of a name: old behaviour of Docker.
  const isPlainEnd =
    isStars(chars, 0) && chars.length > 2 && chars[2] !== '/' && !chars.slice(2).some(isSpecial)
  if (isPlainEnd) return [{ kind: 'path' }, ...chars.slice(2).map(literal)]

  const tokens: Token[] = []
  for (let at = 0; at < chars.length;) {
    const char = chars[at]!
    if (isStars(chars, at)) {
      at += chars[at + 2] === '/' ? 3 : 2
      tokens.push({ kind: at === chars.length ? 'path' : 'folders' })
    } else if (char === '[') {
      const end = classEnd(chars, at)
      tokens.push(readClass(chars.slice(at, end)))
      at = end
    } else if (char === '\\') {
      const escaped = chars[at + 1]
      if (escaped === undefined) throw new Error('misplaced \\')
      tokens.push(literal(escaped))
      at += 2
    } else {
      tokens.push(char === '*' ? { kind: 'name' } : char === '?' ? { kind: 'any' } : literal(char))
      at++
    }
  }

  return tokens
}

const isStars = (chars: string[], at: number): boolean => chars[at] === '*' && chars[at + 1] === '*'
const isSpecial = (char: string): boolean => '\\*?[]'.includes(char)
const literal = (char: string): Token => ({ kind: 'literal', char: char.codePointAt(0)! })

/** The position after a class that begins at `start`. A class holds at least one character. */
function classEnd(chars: string[], start: number): number {
  const first = chars[start + 1] === '^' ? start + 2 : start + 1
  for (let at = first; at < chars.length; at++) {
    if (chars[at] === '\\') at++
    else if (chars[at] === ']' && at > first) return at + 1
    else if (chars[at] === ']') break
  }
  throw new Error('misplaced [')
}

type Range = { from: number; to: number }

/** Reads `[a-z]` or `[^a-z]`. `chars` includes the brackets. */
function readClass(chars: string[]): Token {
  const isNegated = chars[1] === '^'
  const atoms: { char: number; isDash: boolean }[] = []
  for (let at = isNegated ? 2 : 1; at < chars.length - 1; at++) {
    const isEscaped = chars[at] === '\\'
    if (isEscaped) at++
    atoms.push({ char: chars[at]!.codePointAt(0)!, isDash: !isEscaped && chars[at] === '-' })
  }

  const ranges: Range[] = []
  for (let at = 0; at < atoms.length;) {
    const from = atoms[at]!.char
    const isRange = atoms[at + 1]?.isDash === true && at + 2 < atoms.length
    const to = isRange ? atoms[at + 2]!.char : from
    if (to < from) throw new Error('a range out of order')
    ranges.push({ from, to })
    at += isRange ? 3 : 1
  }

  const merged = mergedRanges(ranges)
  return { kind: 'class', text: chars.join(''), holds: (char) => isIn(merged, char) !== isNegated }
}

/** Sorts ranges and merges those that touch. */
function mergedRanges(ranges: Range[]): Range[] {
  const merged: Range[] = []
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** Binary search: a class may hold thousands of ranges. */
function isIn(ranges: readonly Range[], char: number): boolean {
  let low = 0
  for (let high = ranges.length; low < high;) {
    const middle = (low + high) >> 1
    if (ranges[middle]!.to < char) low = middle + 1
    else high = middle
  }
  return low < ranges.length && ranges[low]!.from <= char
}
