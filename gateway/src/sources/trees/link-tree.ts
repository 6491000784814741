import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TreeFile } from '#api/tree.ts'
import { syncFileSystem } from '../../host/disk/sync-file-system.ts'
import { syncPaths } from '../../host/disk/sync-paths.ts'
import { manifestName, writeManifest } from '../../host/tree-manifest.ts'
import { joinedName } from './join-tree.ts'
import { linkFiles, makeTreeFolder, type Parts } from './link-files.ts'
import type { AskedTree } from './read-manifest.ts'
import { changeSpare, takeSpare } from './spares.ts'

/**
 * Makes the folder of a tree, synced, of hard links to files that are there. Returns the files that
 * are there no longer: then the folder is of no use. `spares`: a copy of its base may be there, of
 * which only what differs is made.
 */
export async function linkTree(
  into: string,
  tree: AskedTree,
  { spares, ...parts }: Parts & { spares: string },
): Promise<TreeFile[]> {
  const { digest, base, entries } = tree
  const isFromSpare = base !== null && takeSpare(spares, base.digest, into)
  const { gone, isJoined, changed } = isFromSpare
    ? await changeSpare(into, { ...tree, base }, parts)
    : { ...(await linkFiles(makeTreeFolder(into), entries, parts)), changed: null }
  if (gone.length > 0) return gone

  const own = entries.filter((entry) => entry.type === 'file')
  const sizeBytes = own.reduce((sum, file) => sum + file.sizeBytes, 0)
  const manifest = join(into, manifestName)
  await writeManifest(manifest, { digest, files: own.length, sizeBytes, entries })
  if (isJoined) writeFileSync(join(into, joinedName), '')
  chmodSync(into, 0o755)

  if (changed === null) await syncFileSystem(into)
  else await syncPaths([into, manifest, ...changed])
  return []
}
