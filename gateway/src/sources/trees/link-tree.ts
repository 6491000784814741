import { chmodSync, copyFileSync, constants, linkSync, mkdirSync, symlinkSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import type { TreeFile } from '#api/tree.ts'
import { manifestName, writeManifest } from '../../host/tree-manifest.ts'
import { unpackSlice } from '../staging.ts'
import type { SpoolRoom } from '../spool-room.ts'
import { diskMode } from '../write-file.ts'
import { joinedName } from './join-tree.ts'
import type { KnownFile } from './known-files.ts'
import { objectName, type Objects } from './objects.ts'
import type { AskedTree } from './read-manifest.ts'

type Parts = { objects: Objects; known: ReadonlyMap<string, KnownFile>; room: SpoolRoom }

/** What one more link to a file takes. */
const nameBytes = 64

/**
 * Makes the folder of a tree, of hard links to files that are there. Returns the files that are there
 * no longer: then the folder is of no use. Nothing is synced.
 */
export async function linkTree(
  into: string,
  { digest, entries }: AskedTree,
  { objects, known, room }: Parts,
): Promise<TreeFile[]> {
  const files = join(into, 'files')
  const gone: TreeFile[] = []
  let isJoined = true
  mkdirSync(into, { mode: 0o700 })
  makeFolder(files)

  for (const entry of entries) {
    const path = join(files, entry.path)
    if (entry.type === 'file') room.take(nameBytes)
    else room.takeFile()
    if (entry.type === 'folder') makeFolder(path)
    else if (entry.type === 'link') symlinkSync(entry.target, path)
    else if (!objects.linkTo(objectName(entry), path)) {
      isJoined = false
      if (!linkKnown(entry, path, known)) gone.push(entry)
    }
    crashPoint('tree-linking')
    await unpackSlice.yield()
  }
  if (gone.length > 0) return gone

  const own = entries.filter((entry) => entry.type === 'file')
  const sizeBytes = own.reduce((sum, file) => sum + file.sizeBytes, 0)
  const manifest = { digest, files: own.length, sizeBytes, entries }
  await writeManifest(join(into, manifestName), manifest)
  if (isJoined) writeFileSync(join(into, joinedName), '')
  chmodSync(into, 0o755)
  return []
}

function makeFolder(path: string): void {
  mkdirSync(path)
  chmodSync(path, 0o755)
}

/** For a file that the store does not have (yet). False: it has been removed meanwhile. */
function linkKnown(
  { sha256, mode }: TreeFile,
  path: string,
  known: ReadonlyMap<string, KnownFile>,
): boolean {
  const from = known.get(sha256)
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
