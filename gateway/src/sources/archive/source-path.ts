import { Problem } from '#api/problem.ts'
import { trimEnd } from '#api/text/trim-end.ts'
import type { Limits } from '../limits.ts'

/**
 * The path of an entry in the tree: relative, no `./` before, no slash behind. '' is the tree's
 * root.
 */
export function sourcePath(name: string, limits: Limits): string {
  if (name === '') throw invalid('Its name is empty.')

  const path = trimEnd(name.replace(/^(?:\.\/)+/, ''), '/')
  if (/^[/\\]|^[A-Za-z]:[/\\]/.test(path) || name.startsWith('/'))
    throw new Problem(
      'archive-path-absolute',
      'Its path is absolute. Pack from inside the folder: tar cz -C FOLDER .',
    )
  if (path === '' || path === '.') return ''

  const parts = path.split('/')
  if (parts.at(-1) === '..') throw invalid('Its path names no file.')
  if (path.split(/[/\\]/).includes('..'))
    throw new Problem(
      'archive-path-escape',
      'Its path has `..` in it. Pack from inside the folder: tar cz -C FOLDER .',
    )
  if (parts.some((part) => part === '' || part === '.'))
    throw invalid('Its path has an empty part.')

  checkCharacters(path)
  checkLength(path, parts, limits)
  return path
}

/**
 * Refuses control characters and characters that change the text direction: such a name looks like
 * another one.
 */
export function checkCharacters(text: string): void {
  if (/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(text))
    throw invalid('Its name holds a control character.')
}

function checkLength(path: string, parts: string[], { pathBytes, nameBytes, depth }: Limits): void {
  const longest = parts.reduce((most, part) => Math.max(most, Buffer.byteLength(part)), 0)
  if (Buffer.byteLength(path) <= pathBytes && longest <= nameBytes && parts.length <= depth) return
  throw new Problem(
    'archive-path-too-long',
    `A path may have ${pathBytes} bytes, ${nameBytes} in a name, and ${depth} levels. Leave out what is not source.`,
    { facts: { pathBytes, nameBytes, depth } },
  )
}

/** The history of a git clone is no source: everything in a `.git` is left out. */
export const isGit = (path: string): boolean => /(?:^|\/)\.git(?:\/|$)/i.test(path)

/**
 * Equal for paths that some file system treats as the same: case, compatible characters, trailing
 * dots and spaces.
 */
export function collisionKey(path: string): string {
  // Via upper case: `ß` becomes `ss`.
  const plain = /^[ -~]*$/.test(path)
    ? path.toLowerCase()
    : path.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC')
  return plain
    .split('/')
    .map((part) => trimEnd(part, '. '))
    .join('/')
}

/**
 * A name that is safe to show: escapes characters that a terminal would obey, and cuts a long name.
 */
export function shownName(name: Buffer): string {
  const text = name
    .toString('utf8', 0, 200)
    .replaceAll(
      /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu,
      (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
    )
  return text.length > 120 || name.length > 200 ? `${text.slice(0, 120)}…` : text
}

const invalid = (detail: string): Problem =>
  new Problem('archive-name-invalid', `${detail} Rename the file.`)
