import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { sortEntries, treeDigest, type TreeEntry } from '../../../api/tree.ts'
import type { SourceTree } from '../../../gateway/src/deployments/source-tree.ts'

/** Reads a folder as the source tree that staging would make from it. */
export function treeOf(root: string): SourceTree {
  // Node lists what is behind links to folders, too.
  const all = readdirSync(root, { recursive: true, encoding: 'utf8' })
  const links = all.filter((path) => lstatSync(`${root}/${path}`).isSymbolicLink())
  const own = all.filter((path) => !links.some((link) => path.startsWith(`${link}/`)))
  const entries = own.map((path): TreeEntry => {
    const stat = lstatSync(`${root}/${path}`)
    if (stat.isDirectory()) return { type: 'folder', path }
    if (stat.isSymbolicLink())
      return { type: 'link', path, target: readlinkSync(`${root}/${path}`) }
    const sha256 = createHash('sha256')
      .update(readFileSync(`${root}/${path}`))
      .digest('hex')
    return {
      type: 'file',
      path,
      mode: stat.mode & 0o100 ? 0o755 : 0o644,
      sizeBytes: stat.size,
      sha256,
    }
  })
  const sizeBytes = entries.reduce(
    (sum, entry) => sum + (entry.type === 'file' ? entry.sizeBytes : 0),
    0,
  )
  return {
    root,
    entries: sortEntries(entries),
    digest: treeDigest(entries),
    files: entries.length,
    sizeBytes,
  }
}
