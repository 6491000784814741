import { existsSync, readFileSync, readdirSync, statSync, type Stats } from 'node:fs'
import { basename, join } from 'node:path'

/** The app's folder as the planner sees it. */
export type SourceFiles = {
  has(path: string): boolean
  isFolder(path: string): boolean
  /** Empty when there is no such file. */
  read(path: string): string
  /**
   * Sorted paths of files and folders anywhere in the tree whose base name matches, without
   * node_modules.
   */
  find(name: RegExp): { files: string[]; folders: string[] }
  /** The entries at the root. Folders end with a slash. */
  root(): string[]
}

export function sourceFiles(folder: string): SourceFiles {
  let all: { path: string; isFolder: boolean }[] | undefined
  const isFolder = (path: string) => statsOf(join(folder, path))?.isDirectory() ?? false
  return {
    has: (path) => existsSync(join(folder, path)),
    isFolder,
    read: (path) => (isFile(join(folder, path)) ? readFileSync(join(folder, path), 'utf8') : ''),
    find(name) {
      all ??= walk(folder, '')
      const found = all.filter(({ path }) => name.test(basename(path)))
      return {
        files: found.filter((entry) => !entry.isFolder).map(({ path }) => path),
        folders: found.filter((entry) => entry.isFolder).map(({ path }) => path),
      }
    },
    root: () =>
      readdirSync(folder)
        .toSorted()
        .map((name) => (isFolder(name) ? `${name}/` : name)),
  }
}

const isFile = (path: string): boolean => statsOf(path)?.isFile() ?? false

/** Null: nothing is there, or its links lead in a circle. */
function statsOf(path: string): Stats | null {
  try {
    return statSync(path)
  } catch {
    return null
  }
}

function walk(folder: string, prefix: string): { path: string; isFolder: boolean }[] {
  const entries = readdirSync(join(folder, prefix), { withFileTypes: true })
  const sorted = entries.toSorted((a, b) =>
    Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  )
  return sorted.flatMap((entry) => {
    const path = join(prefix, entry.name)
    const below =
      entry.isDirectory() && !['node_modules', '.git'].includes(entry.name)
        ? walk(folder, path)
        : []
    return [{ path, isFolder: entry.isDirectory() }].concat(below)
  })
}
