import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'

/** The longer byte order mark comes first: UTF-32 begins like UTF-16. */
const encodings = [
  { name: 'UTF-32', mark: [0xff, 0xfe, 0, 0] },
  { name: 'UTF-32', mark: [0, 0, 0xfe, 0xff] },
  { name: 'UTF-16', mark: [0xff, 0xfe] },
  { name: 'UTF-16', mark: [0xfe, 0xff] },
]

/**
 * Decodes a file from outside as UTF-8. Throws a problem with this code when the file is UTF-16 or
 * UTF-32. With `strict` it also refuses bytes that are not UTF-8. Otherwise it replaces them, as
 * Docker and Go's JSON reader do. A byte order mark of UTF-8 stays: each format has its own rule
 * for it.
 */
export function sourceText(
  bytes: Uint8Array,
  path: string,
  code: ProblemCode,
  { strict = false } = {},
): string {
  const refuse = (what: string) =>
    new Problem(code, `The file ${path} ${what}. Save it as UTF-8 and deploy again.`, {
      facts: { file: path },
    })
  const other = encodings.find(({ mark }) => mark.every((byte, at) => bytes[at] === byte))
  if (other) throw refuse(`is ${other.name}, not UTF-8`)

  try {
    return new TextDecoder('utf-8', { fatal: strict, ignoreBOM: true }).decode(bytes)
  } catch {
    throw refuse('is not valid UTF-8')
  }
}
