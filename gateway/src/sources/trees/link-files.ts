import { chmodSync, constants, copyFileSync, linkSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import type { SpoolRoom } from '../spool-room.ts'
import { unpackSlice } from '../staging.ts'
import { diskMode } from '../write-file.ts'
import type { KnownFile } from './known-files.ts'
import { objectName, type Objects } from './objects.ts'

/** `known`: where else a file may be found, which the store does not have (yet). */
export type Parts = {
  objects: Objects
  known: (file: TreeFile) => KnownFile | null
  room: SpoolRoom
}

/** What one more link to a file takes. */
const nameBytes = 64

/**
 * Makes the entries of a tree in a folder, of hard links to files that are there. `gone`: the files
 * that are there no longer. `isJoined`: each is a link to a file of the store. Nothing is synced.
 */
export async function linkFiles(
  folder: string,
  entries: readonly TreeEntry[],
  { objects, known, room }: Parts,
): Promise<{ gone: TreeFile[]; isJoined: boolean }> {
  const gone: TreeFile[] = []
  let isJoined = true
  for (const entry of entries) {
    const path = `${folder}/${entry.path}`
    if (entry.type === 'file') room.take(nameBytes)
    else room.takeFile()
    if (entry.type === 'folder') makeFolder(path)
    else if (entry.type === 'link') symlinkSync(entry.target, path)
    else if (!objects.linkTo(objectName(entry), path)) {
      isJoined = false
      if (!linkKnown(entry, path, known(entry))) gone.push(entry)
    }
    crashPoint('tree-linking')
    if (unpackSlice.isOver) await unpackSlice.yield()
  }
  return { gone, isJoined }
}

/** Makes the folder of a tree and, in it, that of its files. Returns the latter. */
export function makeTreeFolder(path: string): string {
  const files = join(path, 'files')
  mkdirSync(path, { mode: 0o700 })
  makeFolder(files)
  return files
}

function makeFolder(path: string): void {
  mkdirSync(path)
  chmodSync(path, 0o755)
}

/** False: it has been removed meanwhile. */
function linkKnown({ mode }: TreeFile, path: string, from: KnownFile | null): boolean {
  if (!from) return false
  try {
    if (from.mode === mode) linkSync(from.at, path)
    else copyWith(mode, from.at, path)
    return true
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') return false
    if (code !== 'EMLINK') throw error
    copyWith(mode, from.at, path)
    return true
  }
}

function copyWith(mode: TreeFile['mode'], from: string, path: string): void {
  copyFileSync(from, path, constants.COPYFILE_EXCL)
  chmodSync(path, diskMode(mode))
}
