import { stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path/posix'
import ignore from 'ignore'
import { readIfThere } from './read-if-there.ts'
import type { FolderRules } from './folder-rules.ts'
import { checkGitPatterns } from './git-patterns.ts'
import { otherIgnoreFiles, trackedFiles } from './tracked-files.ts'

/** Dependencies and caches. They are left out even where no ignore file names them. */
const dependencies = new Set(['node_modules', '__pycache__', '.venv'])

/** The patterns of one file. They apply below `root`. */
type Patterns = {
  why: string
  root: string
  test: (path: string) => { ignored: boolean; unignored: boolean }
}
type Repository = { folder: string; tracked: { files: Set<string>; folders: Set<string> } }

/**
 * Git's rules in a folder, which need not be a repository: files that git tracks are sent, and
 * ignored ones are not. `note` gets a remark if git cannot name the tracked files.
 */
export async function gitRules(folder: string, note: (text: string) => void): Promise<FolderRules> {
  const { isRepository, patterns } = await patternsAbove(folder)
  const files = isRepository ? await trackedFiles(folder, note) : []
  const tracked = { files: new Set(files), folders: new Set(files.flatMap(foldersOf)) }
  return inFolder({ folder, tracked }, [...(await patternsOf(folder, folder)), ...patterns], null)
}

/** `excluded`: why the folder itself is left out. Then only tracked files inside it are sent. */
function inFolder(
  repository: Repository,
  patterns: Patterns[],
  excluded: string | null,
): FolderRules {
  const { folder, tracked } = repository
  const leftOut = (path: string, isFolder: boolean): string | null => {
    if (tracked.files.has(path)) return null
    if (excluded !== null) return excluded
    const why = matching(join(folder, path), isFolder, patterns)
    return why ?? (isFolder && dependencies.has(basename(path)) ? 'as dependencies' : null)
  }
  return {
    leftOut,
    mayHoldMore: (path) => tracked.folders.has(path),
    async enter(path) {
      const why = leftOut(path, true)
      const own = why === null ? await patternsOf(join(folder, path), folder) : []
      return inFolder(repository, [...own, ...patterns], why)
    },
  }
}

/** `a/b/c` → `a`, `a/b`. */
function foldersOf(path: string): string[] {
  const folders: string[] = []
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
    folders.push(path.slice(0, at))
  return folders
}

/** Why an entry is left out. The nearest patterns decide. If they have no match, the next ones do. */
function matching(file: string, isFolder: boolean, all: Patterns[]): string | null {
  for (const { why, root, test } of all) {
    const path = relative(root, file)
    const { ignored, unignored } = test(path + (isFolder ? '/' : ''))
    if (unignored) return null
    if (ignored && !leavesOutAbove(path, test)) return why
  }
  return null
}

/** Whether the patterns match a folder above a path. Nearer ones have then kept that folder. */
const leavesOutAbove = (path: string, test: Patterns['test']): boolean =>
  path.includes('/') && test(`${dirname(path)}/`).ignored

/** The patterns that an ignore file has for the folder `root`. `folder` is the one that is sent. */
async function patternsOf(
  root: string,
  folder: string,
  file = join(root, '.gitignore'),
): Promise<Patterns[]> {
  const text = await readIfThere(file)
  if (!text) return []
  checkGitPatterns(file, text)
  const matcher = ignore({ ignorecase: process.platform !== 'linux' }).add(text)
  return [{ why: `by ${relative(folder, file)}`, root, test: (path) => matcher.test(path) }]
}

/**
 * The patterns of the repository around a folder, nearest first. Empty when they exclude the folder
 * itself: the user asked for it.
 */
async function patternsAbove(
  folder: string,
): Promise<{ isRepository: boolean; patterns: Patterns[] }> {
  const patterns: Patterns[] = []
  for (let root = folder; ; root = dirname(root)) {
    if (root !== folder) patterns.push(...(await patternsOf(root, folder)))
    if (await stat(join(root, '.git')).catch(() => null)) {
      for (const file of await otherIgnoreFiles(root))
        patterns.push(...(await patternsOf(root, folder, file)))
      const isExcluded = root !== folder && matching(folder, true, patterns) !== null
      return { isRepository: true, patterns: isExcluded ? [] : patterns }
    }
    if (root === dirname(root)) return { isRepository: false, patterns: [] }
  }
}
