import { createHash } from 'node:crypto'

/**
 * One entry of a source tree. `path` is relative, with slashes, its characters unchanged. Folders
 * have no trailing slash, and all of them are listed, empty or not. Modes are only 0755 and 0644;
 * `sha256` is lower-case hex; links keep their raw target.
 */
export type TreeEntry =
  | { type: 'file'; path: string; mode: 0o755 | 0o644; sizeBytes: number; sha256: string }
  | { type: 'folder'; path: string }
  | { type: 'link'; path: string; target: string }

export type TreeFile = Extract<TreeEntry, { type: 'file' }>

/** Sorts entries in canonical order: by the bytes of the path, a folder before its content. */
export const sortEntries = (entries: readonly TreeEntry[]): TreeEntry[] =>
  entries.toSorted((a, b) => comparePaths(a.path, b.path))

/** The canonical order of two paths: less than 0 if `a` comes first. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [one, two] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (one !== two) return rankOf(one) - rankOf(two)
  }
  return a.length - b.length
}

/** A slash comes first. UTF-16 has surrogates before U+E000, and UTF-8 has them last. */
function rankOf(unit: number): number {
  if (unit === slash) return 0
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

const slash = 0x2f

/**
 * The digest of a tree: `sha256:…` over its sorted entries, without times and owners. The same
 * source has the same digest from a laptop, from CI and from git.
 */
export const treeDigest = (entries: readonly TreeEntry[]): string =>
  sortedTreeDigest(sortEntries(entries))

/** So many lines are hashed at once: each call costs more than a line. */
const linesAtOnce = 256

/** The same of entries that are in canonical order already. */
export function sortedTreeDigest(entries: readonly TreeEntry[]): string {
  const hash = createHash('sha256')
  let lines = 'tarmac-tree-1\n'
  for (const [at, entry] of entries.entries()) {
    lines += `${factsOf(entry)} ${JSON.stringify(entry.path)}\n`
    if (at % linesAtOnce > 0) continue
    hash.update(lines)
    lines = ''
  }
  return `sha256:${hash.update(lines).digest('hex')}`
}

function factsOf(entry: TreeEntry): string {
  if (entry.type === 'file') return `file ${octal[entry.mode]} ${entry.sha256} ${entry.sizeBytes}`
  return entry.type === 'link' ? `link ${JSON.stringify(entry.target)}` : 'folder'
}

const octal = { [0o755]: '755', [0o644]: '644' } as const
