import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path/posix'
import { errorCode } from '#api/error-code.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import { Beneath, fileFlags } from '../../host/beneath.ts'
import { TimeSlice } from '../../time-slice.ts'
import { filterEntries } from './context-filter.ts'
import { changed } from './context-pieces.ts'
import { unwantedFiles } from './unwanted-files.ts'

/** What of a tree the build sees, and what the planner sees besides. */
export type Rules = {
  /** Docker-style patterns. */
  ignore: readonly string[]
  /** Paths that the planner reads although the patterns exclude them: its own settings. */
  always: readonly string[]
}

/** What a tree is like under its ignore rules. */
export type Survey = {
  rules: Rules
  /** How many entries the rules exclude. */
  excluded: number
  /** JSON files that begin with a byte order mark, which railpack cannot read. */
  marked: string[]
  /** Dockerfiles by their names, also excluded ones, at most `maxDockerfiles`. */
  dockerfiles: string[]
  /** Lines for people about what should not be in an image. */
  warnings: string[]
}

const mark = Buffer.from([0xef, 0xbb, 0xbf])
/** The JSON files that railpack reads. */
const jsonNames = /^(?:package|composer|deno|railpack)\.jsonc?$/
const maxJsonBytes = 2 ** 20
const sliceMs = 8

export async function surveyEntries(
  root: string,
  entries: readonly TreeEntry[],
  rules: Rules,
): Promise<Survey> {
  const inBuild = filterEntries(entries, rules.ignore)
  const kept = visible(entries, inBuild, rules.always)
  const slice = new TimeSlice(sliceMs)
  const marked: string[] = []
  using tree = new Beneath(root)
  const startsWith = (path: string, bytes: number) => firstBytes(tree, path, bytes)
  for (const entry of kept) {
    const isMarked =
      entry.type === 'file' && isJson(entry) && startsWith(entry.path, mark.length).equals(mark)
    if (isMarked) marked.push(entry.path)
    await slice.yield()
  }
  const excluded = entries.length - kept.length
  const warnings = unwantedFiles(inBuild, startsWith)
  return { rules, excluded, marked, dockerfiles: dockerfilesOf(entries), warnings }
}

const maxDockerfiles = 1_000
const dockerfileName =
  /^(?:[Dd]ockerfile|Containerfile)(?:\.(?!dockerignore$).+)?$|\.[Dd]ockerfile$/

const dockerfilesOf = (entries: readonly TreeEntry[]): string[] =>
  entries
    .filter(({ type, path }) => type !== 'folder' && dockerfileName.test(basename(path)))
    .map(({ path }) => path)
    .filter((path) => !path.includes('node_modules/'))
    .slice(0, maxDockerfiles)

/**
 * Makes a folder with the part of a tree that its build sees. Files are hard links to those of the
 * tree, so it takes no room. JSON files have no byte order mark there.
 */
export async function makeView(
  root: string,
  entries: readonly TreeEntry[],
  rules: Rules,
  into: string,
): Promise<void> {
  const slice = new TimeSlice(sliceMs)
  using tree = new Beneath(root)
  makeFolder(into)
  for (const entry of visible(entries, filterEntries(entries, rules.ignore), rules.always)) {
    const path = join(into, entry.path)
    if (entry.type === 'folder') makeFolder(path)
    else {
      mkdirSync(dirname(path), { recursive: true })
      if (entry.type === 'link') symlinkSync(entry.target, path)
      else addFile(tree, entry, path)
    }
    await slice.yield()
  }
}

function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
}

/** The entries that the planner sees, in order: those of the build, and its own settings. */
function visible(
  entries: readonly TreeEntry[],
  inBuild: readonly TreeEntry[],
  always: readonly string[],
): readonly TreeEntry[] {
  if (inBuild.length === entries.length || always.length === 0) return inBuild
  const paths = new Set([...inBuild.map(({ path }) => path), ...always])
  return entries.filter(({ path }) => paths.has(path))
}

const isJson = ({ path, sizeBytes }: TreeFile): boolean =>
  sizeBytes <= maxJsonBytes && jsonNames.test(basename(path))

/** Puts a file of the tree at a path of the view. Throws `source-changed` if it is not as it was. */
function addFile(tree: Beneath, file: TreeFile, into: string): void {
  try {
    if (isJson(file)) writePlain(tree, file, into)
    else linkOrCopy(tree.at(file.path), into)
  } catch (cause) {
    throw isGone.has(errorCode(cause) ?? '') ? changed(file.path, cause) : cause
  }
  // If a link has come in the place of the file, the hard link is that link.
  if (!lstatSync(into).isFile()) throw changed(file.path)
}

/** The trees share their files, and a file system limits the links of a file (ext4: 65,000). */
function linkOrCopy(from: string, into: string): void {
  try {
    linkSync(from, into)
  } catch (error) {
    if (errorCode(error) !== 'EMLINK') throw error
    copyFileSync(from, into, constants.COPYFILE_EXCL)
  }
}

/** What the system says of a path where another kind of entry is, or none. */
const isGone = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ESPIPE', 'EAGAIN'])

function writePlain(tree: Beneath, { path, mode }: TreeFile, into: string): void {
  const file = openSync(tree.at(path), fileFlags)
  try {
    const { size } = fstatSync(file)
    const buffer = Buffer.alloc(Math.min(size, maxJsonBytes))
    const bytes = buffer.subarray(0, readSync(file, buffer, 0, buffer.length, 0))
    const isMarked = bytes.subarray(0, mark.length).equals(mark)
    writeFileSync(into, isMarked ? bytes.subarray(mark.length) : bytes, { flag: 'wx', mode })
  } finally {
    closeSync(file)
  }
}

/** Empty if the file cannot be read: the build reports that. */
function firstBytes(tree: Beneath, path: string, bytes: number): Buffer {
  let file = -1
  try {
    file = openSync(tree.at(path), fileFlags)
    const buffer = Buffer.alloc(bytes)
    return buffer.subarray(0, readSync(file, buffer, 0, bytes, 0))
  } catch {
    return Buffer.alloc(0)
  } finally {
    if (file >= 0) closeSync(file)
  }
}
