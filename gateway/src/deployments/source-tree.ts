import type { SourceFacts } from '#api/deployment.ts'
import type { TreeEntry } from '#api/tree.ts'

/** A source tree on this machine's disk, whole and never written to again. */
export type SourceTree = SourceFacts & {
  /** Absolute path of the folder that holds the files. */
  root: string
  /** In canonical order (`sortEntries`). */
  entries: readonly TreeEntry[]
  /** The file that holds these entries, for threads to read; none of a tree that was made in memory. */
  manifest?: string
}
