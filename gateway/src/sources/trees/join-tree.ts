import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { TreeFile } from '#api/tree.ts'
import { manifestName, readManifest } from '../../host/tree-manifest.ts'
import { unpackSlice } from '../staging.ts'
import { diskMode } from '../write-file.ts'
import { objectName, Objects } from './objects.ts'

/** A file with this name beside the files of a tree: each of them is a link to one of the store. */
export const joinedName = 'joined'

export type JoinJob = { volume: string; folder: string; spool: string }

/**
 * Puts the files of a tree into the store, and makes those that the store has already links to it.
 * Each step leaves a whole tree. Readers see the same content before and after. `spool` must not
 * exist. Returns how many files were stored before.
 */
export async function joinTree({ volume, folder, spool }: JoinJob): Promise<number> {
  if (existsSync(join(folder, joinedName))) return 0
  const objects = new Objects(volume)
  const { entries } = await readManifest(join(folder, manifestName))
  mkdirSync(spool, { mode: 0o700 })
  let stored = 0
  try {
    for (const entry of entries) {
      if (entry.type !== 'file') continue
      const path = join(folder, 'files', entry.path)
      if (joinFile(objects, entry, { path, coming: join(spool, 'file') })) stored++
      crashPoint('tree-joining')
      await unpackSlice.yield()
    }
    writeFileSync(join(folder, joinedName), '')
    return stored
  } finally {
    await rm(spool, { recursive: true, force: true })
  }
}

/** True: the file is another than before, with the same content. `coming` is a free path. */
export function joinFile(
  objects: Objects,
  file: TreeFile,
  { path, coming }: { path: string; coming: string },
): boolean {
  const name = objectName(file)
  const own = lstatSync(path)
  const object = lstatSync(objects.pathOf(name), { throwIfNoEntry: false })
  if (object?.ino === own.ino) return false
  if (!object) {
    if ((own.mode & 0o777) !== diskMode(file.mode)) chmodSync(path, diskMode(file.mode))
    objects.add(name, path)
    return false
  }
  // A damaged one is for `fsck`.
  if (object.size !== own.size || !objects.linkTo(name, coming)) return false
  renameSync(coming, path)
  return true
}
