import type { Dirent } from 'node:fs'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'

import { dirname, join, relative } from 'node:path/posix'
import ignore from 'ignore'
import { Problem } from '#api/problem.ts'
import { dockerRules, type DockerFolder } from './docker-rules.ts'
import { checkGitPatterns } from './git-patterns.ts'

export type Entry =
  | { type: 'file'; path: string; mode: 0o755 | 0o644; sizeBytes: number }
  | { type: 'folder'; path: string }
  | { type: 'link'; path: string; target: string }

/** Most levels of a path that the gateway takes. The cost of a git pattern grows with them. */
const maxLevels = 64
/** Never sent, at any level. */
const never = new Set(['.git', '.hg', '.svn', '.DS_Store', 'node_modules', '__pycache__', '.venv'])

type Rules = { root: string; test: (path: string) => { ignored: boolean; unignored: boolean } }

/**
 * Lists the source in a folder, sorted: what git would track (.gitignore at every level, also above
 * the folder, and inside it even without a repository; .git/info/exclude), except what
 * .dockerignore excludes. Folders without files are left out, as in git. `named` are files that an
 * option names: .dockerignore does not apply to them.
 */
export async function listSource(folder: string, named: (string | null)[]): Promise<Entry[]> {
  const docker = await dockerRules(folder, named)
  const above = await rulesAbove(folder)
  const entries: Entry[] = []

  const walk = async (
    path: string,
    outer: Rules[],
    dockerFolder: DockerFolder,
  ): Promise<boolean> => {
    const here = join(folder, path)
    const inDocker = new Map<string, DockerFolder>()
    const rules = [...(await gitRules(here)), ...outer]
    const names = await readdir(here, { withFileTypes: true })

    const wanted = names.filter((found) => {
      const inside = join(path, found.name)
      if (never.has(found.name) || isIgnored(join(folder, inside), found.isDirectory(), rules))
        return false
      if (!found.isDirectory()) return !docker.excludes(dockerFolder, inside)
      const wantedFolder = docker.enter(dockerFolder, inside)
      if (wantedFolder) inDocker.set(inside, wantedFolder)
      return wantedFolder !== null
    })

    if (wanted.length > 0) checkDepth(path)

    const found = await Promise.all(
      wanted.map((name) => readEntry(folder, join(path, name.name), name)),
    )

    let any = false
    for (const entry of sortByName(found.filter((entry) => entry !== null))) {
      const at = entries.push(entry) - 1
      if (entry.type !== 'folder' || (await walk(entry.path, rules, inDocker.get(entry.path)!)))
        any = true
      else entries.splice(at)
    }

    return any
  }
  await walk('', above, docker.root)
  return entries
}

function checkDepth(folder: string): void {
  if (folder.split('/').length < maxLevels) return
  const detail = `A path may have ${maxLevels} levels; there are more in ${folder.slice(0, 100)}. Move or exclude it.`
  throw new Problem('archive-path-too-long', detail, { facts: { limit: maxLevels } })
}

/** Null for sockets, pipes and devices. */
async function readEntry(folder: string, path: string, name: Dirent): Promise<Entry | null> {
  const file = join(folder, path)
  if (name.isDirectory()) return { type: 'folder', path }
  if (name.isSymbolicLink()) return { type: 'link', path, target: await readlink(file) }
  const found = await stat(file)
  return found.isFile()
    ? { type: 'file', path, mode: found.mode & 0o100 ? 0o755 : 0o644, sizeBytes: found.size }
    : null
}

/** All entries are in one folder, so sorting by path equals sorting by name: by bytes. */
const sortByName = (entries: Entry[]) =>
  entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))

/** The nearest rules decide. If they have no match, the next ones do. */
function isIgnored(file: string, isFolder: boolean, rules: Rules[]): boolean {
  for (const { root, test } of rules) {
    const { ignored, unignored } = test(relative(root, file) + (isFolder ? '/' : ''))
    if (ignored || unignored) return ignored
  }
  return false
}

async function gitRules(root: string, file = '.gitignore'): Promise<Rules[]> {
  const text = await readFile(join(root, file), 'utf8').catch(() => '')
  if (!text) return []
  checkGitPatterns(join(root, file), text)
  const matcher = ignore({ ignorecase: process.platform !== 'linux' }).add(text)
  return [{ root, test: (path) => matcher.test(path) }]
}

/**
 * Rules of the repository around a folder, nearest first. Empty when they exclude the folder
 * itself: the user asked for it.
 */
async function rulesAbove(folder: string): Promise<Rules[]> {
  const rules: Rules[] = []
  for (let root = folder; ; root = dirname(root)) {
    if (root !== folder) rules.push(...(await gitRules(root)))
    if (await stat(join(root, '.git')).catch(() => null)) {
      rules.push(...(await gitRules(root, '.git/info/exclude')))
      return root !== folder && isIgnored(folder, true, rules) ? [] : rules
    }
    if (root === dirname(root)) return []
  }
}
