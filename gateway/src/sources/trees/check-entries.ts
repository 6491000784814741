import { Problem } from '#api/problem.ts'
import { sortEntries, type TreeEntry } from '#api/tree.ts'
import { isGit, sourcePath } from '../archive/source-path.ts'
import { TreeShape } from '../archive/tree-shape.ts'
import { checkTarget, noFiles, withEntry } from '../archive/unpack.ts'
import type { Limits } from '../limits.ts'
import { Meter } from '../meter.ts'
import { unpackSlice } from '../staging.ts'

/**
 * Checks the entries of a manifest, each path once, by the rules for archives. Returns them in
 * canonical order, with the folders that only their content names. `isChecked` says which are those
 * of a tree that was taken: they were checked then, and only their place is checked again.
 */
export async function checkEntries(
  entries: readonly TreeEntry[],
  isChecked: (entry: TreeEntry) => boolean,
  limits: Limits,
): Promise<TreeEntry[]> {
  const shape = new TreeShape(limits)
  const checked: TreeEntry[] = []

  for (const [at, entry] of sortEntries(entries).entries()) {
    if (unpackSlice.isOver) await unpackSlice.yield()
    try {
      if (!isChecked(entry)) checkEntry(entry, limits)
      for (const path of shape.addPath(entry.type, entry.path))
        checked.push(path === entry.path ? entry : { type: 'folder', path })
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      throw withEntry(error, { entry: at, name: Buffer.from(entry.path) })
    }
    if (entry.type !== 'folder') checked.push(entry)
  }

  const files = checked.filter((entry) => entry.type === 'file')
  if (files.length === 0) throw noFiles()
  new Meter(limits).mayExpand(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
  return checked
}

function checkEntry(entry: TreeEntry, limits: Limits): void {
  const { path } = entry
  for (const text of entry.type === 'link' ? [path, entry.target] : [path])
    if (!text.isWellFormed() || text.includes('\0'))
      throw new Problem('archive-name-invalid', 'Its name is not UTF-8, or holds a NUL byte.')
  if (sourcePath(path, limits) !== path)
    throw new Problem(
      'archive-name-invalid',
      'Its path has empty parts, a `.` or a slash at its end. Send it as a/b/c.',
    )
  if (isGit(path))
    throw new Problem(
      'archive-name-invalid',
      'The history of a git clone is no source: leave .git out.',
    )
  if (entry.type === 'link') checkTarget(entry.target)
}
