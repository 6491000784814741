import { treeDigest, type TreeEntry } from '#api/tree.ts'
import { hashFile } from '../deploy/pack-source.ts'
import type { Entry } from '../deploy/list-source.ts'
import type { FileHashes, HashedFile } from './file-hashes.ts'
import type { KnownTree } from './known-tree.ts'

const readBytes = 1024 * 1024
/** How long files are hashed before the program looks after signals and output. */
const turnMs = 50

/** A folder as it was at a time: when its listing began, in milliseconds since 1970. */
export type Listed = { entries: Entry[]; listedMs: number }

/** The tree of a listed folder. Hashes the files whose hash is not known. */
export async function hashSource(
  folder: string,
  entries: readonly Entry[],
  hashes: FileHashes,
  signal: AbortSignal,
): Promise<{ tree: KnownTree; files: HashedFile[] }> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  const files: HashedFile[] = []
  const tree: TreeEntry[] = []
  let turn = performance.now()
  for (const entry of entries) {
    if (entry.type !== 'file') {
      tree.push(entry)
      continue
    }
    const sha256 = hashes.find(entry) ?? hashFile(folder, entry, buffer)
    const { type, path, mode, sizeBytes, stamp } = entry
    files.push({ type, path, mode, sizeBytes, sha256, stamp })
    tree.push({ type, path, mode, sizeBytes, sha256 })
    if (performance.now() - turn < turnMs) continue
    await new Promise(setImmediate)
    signal.throwIfAborted()
    turn = performance.now()
  }
  return { tree: { digest: treeDigest(tree), entries: tree }, files }
}

/** The tree of a listed folder whose files have these hashes. */
export function treeOf(entries: readonly Entry[], hashOf: (path: string) => string): KnownTree {
  const tree = entries.map((entry): TreeEntry => {
    if (entry.type !== 'file') return entry
    const { type, path, mode, sizeBytes } = entry
    return { type, path, mode, sizeBytes, sha256: hashOf(path) }
  })
  return { digest: treeDigest(tree), entries: tree }
}
