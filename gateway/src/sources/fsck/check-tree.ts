import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { treeDigest, type TreeEntry, type TreeFile } from '#api/tree.ts'
import { type Manifest, manifestName } from '../../host/tree-manifest.ts'
import { joinFile } from '../trees/join-tree.ts'
import { objectName } from '../trees/objects.ts'
import { diskMode } from '../write-file.ts'
import { unlessGone } from '../unless-gone.ts'
import type { Volume } from './volume.ts'

/** The manifest of a tree. Null: it cannot be read, or is not that of this digest. */
export function readTreeOf(volume: string, hex: string): Manifest | null {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the digest of the entries is checked below
    const manifest = JSON.parse(
      readFileSync(join(volume, 'trees', hex, manifestName), 'utf8'),
    ) as Manifest
    return treeDigest(manifest.entries) === `sha256:${hex}` ? manifest : null
  } catch {
    return null
  }
}

/** Checks a tree against its digest and the store. Returns how many files it has. */
export function checkTree(volume: Volume, hex: string): number {
  const folder = join(volume.dir, 'trees', hex)
  const before = volume.findings.length
  const manifest = readTreeOf(volume.dir, hex)
  const isWhole = manifest
    ? checkEntries(volume, manifest.entries, join(folder, 'files'))
    : volume.found(folder, 'its list of entries is not that of its digest', () => false)

  if (!existsSync(folder)) {
    volume.findings.length = before // a running gateway has removed it
    return 0
  }
  if (!isWhole && volume.repair) volume.moveAside(hex)
  return manifest?.files ?? 0
}

/** Whether all of them are right, or right again. */
function checkEntries(volume: Volume, entries: readonly TreeEntry[], files: string): boolean {
  const others = new Set(unlessGone(() => pathsIn(files)))
  let isWhole = true
  for (const entry of entries) {
    others.delete(entry.path)
    isWhole = checkEntry(volume, entry, join(files, entry.path)) && isWhole
  }
  for (const path of others)
    volume.found(join(files, path), 'the tree has no such entry', () => {
      rmSync(join(files, path), { recursive: true, force: true })
      return true
    })
  return isWhole
}

/** Everything in a folder. A recursive `readdir` of Node goes through links, to anywhere. */
function pathsIn(files: string, folder = ''): string[] {
  return readdirSync(join(files, folder), { withFileTypes: true }).flatMap((found) => {
    const path = join(folder, found.name)
    return found.isDirectory() ? [path, ...pathsIn(files, path)] : [path]
  })
}

/** Whether the entry is right, or right again. */
function checkEntry(volume: Volume, entry: TreeEntry, path: string): boolean {
  if (entry.type === 'file') return checkFile(volume, entry, path)
  const stat = statOf(path)
  if (entry.type === 'folder') {
    if (stat?.isDirectory()) return true
    return volume.found(path, stat ? 'it is no folder' : 'it is missing', () => {
      rmSync(path, { force: true })
      mkdirSync(path)
      chmodSync(path, 0o755)
      return true
    })
  }
  if (stat?.isSymbolicLink() && readlinkSync(path) === entry.target) return true
  return volume.found(path, stat ? 'it is another link' : 'it is missing', () => {
    rmSync(path, { force: true, recursive: true })
    symlinkSync(entry.target, path)
    return true
  })
}

function checkFile(volume: Volume, file: TreeFile, path: string): boolean {
  const stat = statOf(path)
  const fromStore = () => {
    if (stat?.isDirectory()) rmSync(path, { recursive: true })
    return volume.linkTo(file, path)
  }
  if (!stat?.isFile())
    return volume.found(path, stat ? 'it is no file' : 'it is missing', fromStore)

  const object = volume.stored.get(objectName(file))
  const shared = object && lstatSync(object.path, { throwIfNoEntry: false })?.ino === stat.ino
  if (shared ? !object.isWhole : !volume.has(path, stat.ino, file.sha256))
    return volume.found(path, 'its content is not what was sent', fromStore)
  if (!shared && stat.nlink === 1 && object)
    volume.found(path, 'it is a copy of a stored file', () =>
      joinFile(volume.objects, file, { path, coming: volume.free() }),
    )
  else if (!shared && volume.repair) joinFile(volume.objects, file, { path, coming: volume.free() })
  if ((stat.mode & 0o111) !== (diskMode(file.mode) & 0o111))
    volume.found(path, 'it has another mode than was sent', () => fromStore())
  return true
}

/** Null: nothing is there, or a file is where a folder above it should be. */
function statOf(path: string) {
  try {
    return lstatSync(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) return null
    throw error
  }
}
