import type { SourceFacts } from '#api/deployment.ts'
import { comparePaths, type TreeEntry, type TreeFile } from '#api/tree.ts'

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

/** Linux follows at most this many links in one path. */
const maxLinks = 40
/** Parts of a path, with those of the links in it. More than any real path has. */
const maxParts = 1_000

/**
 * The file that a path of a tree leads to, or null. Links are followed inside the tree, by its list
 * of entries: no file is opened. A link with an absolute target, or one that leaves the tree, leads
 * to no file.
 */
export function findFile(tree: Entries, path: string): TreeFile | null {
  const direct = entryAt(tree, path)
  const entry = direct && direct.type !== 'link' ? direct : throughLinks(tree, path)
  return entry?.type === 'file' ? entry : null
}

export const hasFile = (tree: Entries, path: string): boolean => findFile(tree, path) !== null

/** The target of the link at this path of a tree. Null if no link is there. */
export function linkTarget(tree: Entries, path: string): string | null {
  const entry = entryAt(tree, path)
  return entry?.type === 'link' ? entry.target : null
}

function throughLinks(tree: Entries, path: string): TreeEntry | null {
  const waiting = path.split('/').toReversed()
  const at: string[] = []
  let entry: TreeEntry | null = null
  let links = 0
  let parts = 0

  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (++parts > maxParts || entry?.type === 'file') return null
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (at.pop() === undefined) return null
      continue
    }
    entry = entryAt(tree, [...at, part].join('/'))
    if (!entry) return null
    if (entry.type !== 'link') at.push(part)
    else if (++links > maxLinks || entry.target.startsWith('/')) return null
    else waiting.push(...entry.target.split('/').toReversed())
  }
  return entry
}

/** Does not walk through all entries: there may be 250,000. */
function entryAt({ entries }: Entries, path: string): TreeEntry | null {
  for (let [from, to] = [0, entries.length]; from < to;) {
    const middle = (from + to) >> 1
    const entry = entries[middle]!
    const order = comparePaths(entry.path, path)
    if (order === 0) return entry
    if (order < 0) from = middle + 1
    else to = middle
  }
  return null
}

type Entries = Pick<SourceTree, 'entries'>
