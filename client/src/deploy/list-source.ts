import { type BigIntStats, type Dirent, lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { comparePaths } from '#api/tree.ts'
import type { FolderRules } from '../ignore/folder-rules.ts'
import { unreadable } from '../ignore/read-if-there.ts'

export type FileEntry = {
  type: 'file'
  path: string
  mode: 0o755 | 0o644
  sizeBytes: number
  stamp: FileStamp
}
export type Entry =
  | FileEntry
  | { type: 'folder'; path: string }
  | { type: 'link'; path: string; target: string }

/**
 * What the file system says of a file, as text: when it is the same, the content is. `changedMs`:
 * when content or attributes changed last.
 */
export type FileStamp = { text: string; changedMs: number }

/** An entry that is not sent. Folders end with a slash. `why` is as in "by .gitignore". */
export type LeftOut = { path: string; why: string }

/** Most levels of a path that the gateway takes. The cost of a git pattern grows with them. */
const maxLevels = 64
/** How long files are listed before the program looks after signals and output. */
const turnMs = 50
/** Never sent, at any level. */
const never = new Set(['.git', '.hg', '.svn', '.DS_Store'])

/**
 * Lists the source in a folder, sorted, and what the rules leave out of it. Folders without files
 * are left out, as in git. An excluded folder is entered only if something inside may be sent.
 * Throws `source-unreadable`.
 */
export async function listSource(
  folder: string,
  rules: FolderRules,
): Promise<{ entries: Entry[]; leftOut: LeftOut[] }> {
  const entries: Entry[] = []
  const leftOut: LeftOut[] = []

  let turn = performance.now()

  const walk = async (path: string, inside: FolderRules): Promise<boolean> => {
    const below = path === '' ? '' : `${path}/`
    const wanted = namesIn(folder, path).filter((found) => {
      if (never.has(found.name)) return false
      const entry = below + found.name
      const isFolder = found.isDirectory()
      const why = inside.leftOut(entry, isFolder)
      if (why === null || (isFolder && inside.mayHoldMore(entry))) return true
      leftOut.push({ path: isFolder ? `${entry}/` : entry, why })
      return false
    })
    if (wanted.length > 0) checkDepth(path)
    const found = wanted
      .map((name) => readEntry(folder, below + name.name, name))
      .filter((entry) => entry !== null)
    if (performance.now() - turn > turnMs) {
      await new Promise(setImmediate)
      turn = performance.now()
    }

    let any = false
    for (const entry of found.toSorted((a, b) => comparePaths(a.path, b.path))) {
      const at = entries.push(entry) - 1
      if (entry.type !== 'folder' || (await walk(entry.path, await inside.enter(entry.path))))
        any = true
      else entries.splice(at)
    }
    return any
  }

  await walk('', rules)
  return { entries, leftOut }
}

// All calls are synchronous: 20,000 small waits take longer than the calls.

function namesIn(folder: string, path: string): Dirent[] {
  try {
    return readdirSync(join(folder, path), { withFileTypes: true })
  } catch (error) {
    throw unreadable(path ? `The folder ${path}` : `The folder ${folder}`, error)
  }
}

function checkDepth(folder: string): void {
  if (folder.split('/').length < maxLevels) return
  const detail = `A path may have ${maxLevels} levels; there are more in ${folder.slice(0, 100)}. Move or exclude it.`
  throw new Problem('archive-path-too-long', detail, { facts: { limit: maxLevels } })
}

/** Null for sockets, pipes and devices. */
function readEntry(folder: string, path: string, name: Dirent): Entry | null {
  const file = `${folder}/${path}`
  try {
    if (name.isDirectory()) return { type: 'folder', path }
    if (name.isSymbolicLink()) return { type: 'link', path, target: readlinkSync(file) }
    const found = lstatSync(file, { bigint: true })
    if (!found.isFile()) return null
    const mode = found.mode & 0o100n ? 0o755 : 0o644
    return { type: 'file', path, mode, sizeBytes: Number(found.size), stamp: stampOf(found) }
  } catch (error) {
    throw unreadable(path, error)
  }
}

function stampOf({ size, mtimeNs, ctimeNs, ino, mode }: BigIntStats): FileStamp {
  const changedNs = mtimeNs > ctimeNs ? mtimeNs : ctimeNs
  return {
    text: `${size} ${mtimeNs} ${ctimeNs} ${ino} ${mode}`,
    changedMs: Number(changedNs / 1_000_000n),
  }
}
