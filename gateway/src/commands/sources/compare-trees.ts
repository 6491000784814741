import type { FileChange, SourceChanges } from '#api/sources/changes.ts'
import { comparePaths, type TreeEntry } from '#api/tree.ts'
import { TimeSlice } from '../../time-slice.ts'

const sliceMs = 4
const filesShown = 1000

type Differences = Omit<SourceChanges, 'since'>

/**
 * How the files and links of one tree differ from those of another. Folders do not count. Both are in
 * canonical order.
 */
export async function compareTrees(
  before: readonly TreeEntry[],
  after: readonly TreeEntry[],
): Promise<Differences> {
  const slice = new TimeSlice(sliceMs)
  const found: Differences = { added: none(), changed: none(), removed: none(), files: [] }
  let [a, b] = [0, 0]
  while (a < before.length || b < after.length) {
    const [old, fresh] = [before[a], after[b]]
    const order = orderOf(old, fresh)
    if (order <= 0) a++
    if (order >= 0) b++
    note(found, order <= 0 ? old : undefined, order >= 0 ? fresh : undefined)
    if (slice.isOver) await slice.yield()
  }
  return found
}

/** Below 0: the first tree alone has its entry. 0: both have this path. */
function orderOf(a: TreeEntry | undefined, b: TreeEntry | undefined): number {
  if (!a || !b) return a ? -1 : 1
  return comparePaths(a.path, b.path)
}

function note(found: Differences, a: TreeEntry | undefined, b: TreeEntry | undefined): void {
  const [old, fresh] = [a, b].map((each) => (each?.type === 'folder' ? undefined : each))
  if (contentOf(old) === contentOf(fresh)) return
  const change = !old ? 'added' : fresh ? 'changed' : 'removed'
  const count = found[change]
  count.files++
  count.sizeBytes += sizeOf(fresh ?? old) ?? 0
  const { path } = (fresh ?? old)!
  const file: FileChange = { path, change, beforeBytes: sizeOf(old), afterBytes: sizeOf(fresh) }
  if (found.files.length < filesShown) found.files.push(file)
}

function contentOf(entry: TreeEntry | undefined): string | null {
  if (!entry || entry.type === 'folder') return null
  return entry.type === 'link' ? `link ${entry.target}` : `file ${entry.mode} ${entry.sha256}`
}

function sizeOf(entry: TreeEntry | undefined): number | null {
  if (!entry || entry.type === 'folder') return null
  return entry.type === 'link' ? Buffer.byteLength(entry.target) : entry.sizeBytes
}

const none = () => ({ files: 0, sizeBytes: 0 })
