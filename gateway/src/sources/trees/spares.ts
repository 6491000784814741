import {
  existsSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import { syncFileSystem } from '../../host/disk/sync-file-system.ts'
import { manifestName, readManifest } from '../../host/tree-manifest.ts'
import type { Limits } from '../limits.ts'
import { SpoolRoom } from '../spool-room.ts'
import { namesIn, unlessGone } from '../unless-gone.ts'
import { hexOf } from './digest-hex.ts'
import { joinedName } from './join-tree.ts'
import { linkFiles, makeTreeFolder, type Parts } from './link-files.ts'
import { Objects } from './objects.ts'
import type { AskedTree, ListedTree } from './read-manifest.ts'

// A spare is a second folder of a tree, made of the same hard links when the tree was taken: at
// `spares/HEX`. It becomes the next tree of its app by one rename, and only what differs is made.
// So 20,000 links are made while no sender waits.

/** More are hardly ever needed at once. */
const maxSpares = 8
/** Smaller trees are linked at once. */
const minEntries = 1_000
/** A folder takes a block of the disk. The spares of larger trees would take much. */
const maxEntries = 50_000
const maxFolders = 5_000
const keptMs = 3_600_000
/** Of changes: for more it is quicker to sync the file system. */
const maxSynced = 32

export type SpareJob = { volume: string; spares: string; digest: string; limits: Limits }

/** Makes a spare of a tree. False: the tree is too small or too large for that, or is gone. */
export async function makeSpare({ volume, spares, digest, limits }: SpareJob): Promise<boolean> {
  const hex = hexOf(digest)
  const tree = join(volume, 'trees', hex)
  const spare = join(spares, hex)
  const coming = `${spare}.coming`
  const { entries } = await readManifest(join(tree, manifestName))
  const folders = entries.filter(isFolder).length
  const fits = entries.length >= minEntries && entries.length <= maxEntries
  if (!fits || folders > maxFolders || existsSync(spare)) return false

  mkdirSync(spares, { recursive: true, mode: 0o700 })
  try {
    const known = (file: TreeFile) => ({ ...file, at: join(tree, 'files', file.path) })
    const room = new SpoolRoom({ folder: spares, limits })
    const parts = { objects: new Objects(volume), known, room }
    const { gone, isJoined } = await linkFiles(makeTreeFolder(coming), entries, parts)
    if (gone.length > 0) return false
    if (isJoined) writeFileSync(join(coming, joinedName), '')
    await syncFileSystem(coming)
    renameSync(coming, spare)
  } finally {
    await rm(coming, { recursive: true, force: true }) // unless it has been moved
  }
  await sweepSpares(spares)
  return true
}

/** Moves the spare of a tree to `into`. False: there is none. */
export function takeSpare(spares: string, digest: string, into: string): boolean {
  try {
    renameSync(join(spares, hexOf(digest)), into)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Makes a spare the next tree: as `linkFiles`. `changed`: what has to be synced for that, null if
 * that is much.
 */
export async function changeSpare(
  spare: string,
  { base, entries, fresh }: AskedTree & { base: ListedTree },
  parts: Parts,
): Promise<{ gone: TreeFile[]; isJoined: boolean; changed: string[] | null }> {
  const files = join(spare, 'files')
  const removed = removedFrom(base, entries)
  // Folders before their content is their order, so here content before its folder.
  for (const { type, path } of removed.toReversed())
    if (type === 'folder') rmdirSync(join(files, path))
    else unlinkSync(join(files, path))
  const added = fresh.filter(
    ({ type, path }) => type !== 'folder' || !existsSync(join(files, path)),
  )
  const { gone, isJoined } = await linkFiles(files, added, parts)

  const joined = join(spare, joinedName)
  const wasJoined = existsSync(joined)
  if (!isJoined) rmSync(joined, { force: true })
  const isMuch =
    removed.length + added.length > maxSynced || added.some(({ type }) => type === 'link')
  // A file that is no link to one of the store may be a copy, which nobody has synced.
  const changed = isJoined && !isMuch ? foldersOf([...removed, ...added], files) : null
  return { gone, isJoined: isJoined && wasJoined, changed }
}

const isFolder = ({ type }: TreeEntry) => type === 'folder'

function removedFrom(base: ListedTree, entries: readonly TreeEntry[]): TreeEntry[] {
  const kept = new Set(entries)
  const folders = new Set(entries.filter(isFolder).map(({ path }) => path))
  return base.entries.filter(
    (entry) => !kept.has(entry) && !(isFolder(entry) && folders.has(entry.path)),
  )
}

/** The folders whose names changed. */
function foldersOf(entries: readonly TreeEntry[], files: string): string[] {
  const folders = entries.flatMap(({ type, path }) => {
    const parent = dirname(join(files, path))
    return type === 'folder' ? [parent, join(files, path)] : [parent]
  })
  return [...new Set(folders)].filter((path) => existsSync(path))
}

/**
 * Removes the spares that are too old or too many, and those of an earlier process: it may have left
 * parts of one. Returns how many that were.
 */
export async function sweepSpares(spares: string, nowMs = Date.now()): Promise<number> {
  const all = dirname(spares)
  const earlier = namesIn(all)
    .map((name) => join(all, name))
    .filter((path) => path !== spares)
  const own = namesIn(spares)
    .map((name) => join(spares, name))
    .map((path) => ({ path, madeMs: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .toSorted((a, b) => b.madeMs - a.madeMs)
    .filter(({ madeMs }, at) => at >= maxSpares || nowMs - madeMs > keptMs)
  for (const { path } of own) moveAway(path)
  const gone = [...earlier, ...own.map(({ path }) => `${path}.gone`)]
  for (const path of gone) await rm(path, { recursive: true, force: true })
  return gone.length
}

/** In one step: nobody takes half a spare. */
const moveAway = (path: string): void => void unlessGone(() => renameSync(path, `${path}.gone`))
