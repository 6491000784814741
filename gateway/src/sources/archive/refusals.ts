import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import type { Problem } from '#api/problem.ts'
import { someOf } from '#api/text/some-of.ts'
import { sortEntries, type TreeEntry } from '#api/tree.ts'
import { filterEntries } from '../../buildkit/context/context-filter.ts'
import { isGit, lenientPath, shownName } from './source-path.ts'

/**
 * Refusals of one entry, behind which the rest of the archive can still be read. A path that leaves
 * the tree is not among them: no ignore rule matches it.
 */
const ofOneEntry = new Set<ProblemCode>([
  'archive-type-forbidden',
  'archive-path-too-long',
  'archive-name-invalid',
  'archive-link-escape',
  'archive-hardlink-invalid',
  'archive-duplicate-path',
])
const maxRefusals = 1_000
/** The longest path on Linux. */
const maxNameBytes = 4096
/** All their folders together: the ignore rules look at each. */
const maxFolders = 20_000
const maxShown = 3

/**
 * The entries that are refused, until the whole archive is known: `.dockerignore` may come last, and
 * what it excludes need not be taken.
 */
export class Refusals {
  readonly #refused: { path: string; name: Buffer; problem: Problem }[] = []
  #folders = 0

  /** Keeps a refusal for later. Throws it if it concerns more than one entry. */
  add(problem: Problem, name: Buffer, canSkip: boolean): void {
    if (!canSkip || !ofOneEntry.has(problem.code) || name.length > maxNameBytes) throw problem
    const path = lenientPath(name)
    if (isGit(path)) return
    this.#refused.push({ path, name, problem })
    this.#folders += path.split('/').length - 1
    if (this.#refused.length > maxRefusals || this.#folders > maxFolders)
      throw this.#refused[0]!.problem
  }

  get any(): boolean {
    return this.#refused.length > 0
  }

  /**
   * Throws the first refusal of an entry that the ignore file does not exclude. Returns a line about
   * the others for people.
   */
  settle(ignoreFile: string): string {
    const paths = this.#refused.map(({ path }) => path)
    const excluded = excludedOf(paths, parseIgnoreFile(ignoreFile))
    const needed = this.#refused.find(({ path }) => !excluded.has(path))
    if (needed) throw needed.problem
    const names = this.#refused.map(({ name }) => shownName(name))
    return `Left out ${names.length} entries that no source may hold and that .dockerignore excludes: ${someOf(names, maxShown)}.`
  }
}

/** Those of the paths that the patterns exclude. */
function excludedOf(paths: readonly string[], patterns: readonly string[]): Set<string> {
  const entries = new Map<string, TreeEntry>()
  for (const path of paths) {
    if (!entries.has(path)) entries.set(path, { type: 'link', path, target: '' })
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const folder = path.slice(0, at)
      entries.set(folder, { type: 'folder', path: folder })
    }
  }
  try {
    const kept = filterEntries(sortEntries([...entries.values()]), patterns)
    const inTree = new Set(kept.map(({ path }) => path))
    return new Set(paths.filter((path) => path !== '' && !inTree.has(path)))
  } catch {
    return new Set() // a bad pattern excludes nothing; the build reports it
  }
}
