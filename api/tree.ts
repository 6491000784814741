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
  const keyed = entries.map((entry) => ({ entry, key: orderKey(entry.path) }))
  return keyed.toSorted((a, b) => Buffer.compare(a.key, b.key)).map(({ entry }) => entry)
}

/** The sort key of a path. */
export const orderKey = (path: string): Buffer => Buffer.from(path.replaceAll('/', '\0'))

/**
 * The digest of a tree: `sha256:…` over its sorted entries, without times and owners. The same
 * source has the same digest from a laptop, from CI and from git.
 */
export const treeDigest = (entries: readonly TreeEntry[]): string =>
  sortedTreeDigest(sortEntries(entries))

/** The same of entries that are in canonical order already. */
export function sortedTreeDigest(entries: readonly TreeEntry[]): string {
  const hash = createHash('sha256').update('tarmac-tree-1\n')
  for (const entry of entries) {
    if (entry.type === 'file')
      hash.update(`file ${entry.mode.toString(8)} ${entry.sha256} ${entry.sizeBytes}`)
    else if (entry.type === 'link') hash.update(`link ${JSON.stringify(entry.target)}`)
    else hash.update('folder')
    hash.update(` ${JSON.stringify(entry.path)}\n`)
  }
  return `sha256:${hash.digest('hex')}`
}
