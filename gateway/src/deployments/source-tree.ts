import type { SourceFacts } from '#api/deployment.ts'
import { orderKey, type TreeEntry } from '#api/tree.ts'

/** A source tree on this machine's disk. It is complete and never changes. */
export type SourceTree = SourceFacts & {
  /** Absolute path of the folder that holds the files. */
  root: string
  /** In canonical order (`sortEntries`). */
  entries: readonly TreeEntry[]
  /**
   * The file that holds these entries, for threads to read. Absent if the tree was made in memory.
   */
  manifest?: string
}

/**
 * The file at a path of a tree, or null. Does not walk through all entries: there may be 250,000.
 */
export function findFile({ entries }: Pick<SourceTree, 'entries'>, path: string): FileEntry | null {
  const wanted = orderKey(path)
  for (let [from, to] = [0, entries.length]; from < to;) {
    const middle = (from + to) >> 1
    const entry = entries[middle]!
    const order = Buffer.compare(orderKey(entry.path), wanted)
    if (order === 0) return entry.type === 'file' ? entry : null
    if (order < 0) from = middle + 1
    else to = middle
  }
  return null
}

export const hasFile = (tree: Pick<SourceTree, 'entries'>, path: string): boolean =>
  findFile(tree, path) !== null

type FileEntry = Extract<TreeEntry, { type: 'file' }>
