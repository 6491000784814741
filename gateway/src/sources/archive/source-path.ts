import { Problem } from '#api/problem.ts'
import type { Limits } from '../limits.ts'

const packInside = 'Pack from inside the folder: tar cz -C FOLDER .'

/**
 * The path of an entry in the tree: relative, without empty parts and `.`, no slash behind. '' is
 * the tree's root. Any other characters may be in it: on Linux a name is bytes, and a backslash, a
 * line feed or a trailing dot is part of it.
 */
export function sourcePath(name: string, limits: Limits): string {
  if (name === '') throw new Problem('archive-name-invalid', `Its name is empty. ${packInside}`)
  // bsdtar removes the drive of Windows and a first backslash. To GNU tar they are part of the name.
  if (name.startsWith('/') || /^(?:\.\/+)*(?:\\|[A-Za-z]:[/\\])/.test(name))
    throw new Problem(
      'archive-path-absolute',
      `Its path is absolute. ${packInside}, without -P (--absolute-names).`,
    )

  const parts = partsOf(name)
  if (parts.includes('..'))
    throw new Problem('archive-path-escape', `Its path has \`..\` in it. ${packInside}`)

  const path = parts.join('/')
  checkLength(path, parts, limits)
  return path
}

/** The path that the ignore rules know for a name, even a name that is refused. */
export const lenientPath = (name: Buffer): string => partsOf(name.toString('utf8')).join('/')

const partsOf = (name: string): string[] =>
  name.split('/').filter((part) => part !== '' && part !== '.')

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
export const isGit = (path: string): boolean => /(?:^|\/)\.git(?:\/|$)/.test(path)

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
