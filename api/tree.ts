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
export function sortEntries(entries: readonly TreeEntry[]): TreeEntry[] {
  if (entries.some(({ path }) => isBeyondUtf16.test(path))) {
    const keyed = entries.map((entry) => ({ entry, key: orderKey(entry.path) }))
    return keyed.toSorted((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry)
  }
  // The order of these is that of their bytes, and a string is quicker to make than a Buffer.
  const keyed = entries.map((entry) => ({ entry, key: entry.path.replaceAll('/', '\0') }))
  return keyed
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ entry }) => entry)
}

/** A path with a surrogate: strings compare UTF-16, in which U+E000 comes after U+10000. */
const isBeyondUtf16 = /[\ud800-\udfff]/

/** The sort key of a path. */
export const orderKey = (path: string): Buffer => Buffer.from(path.replaceAll('/', '\0'))

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
