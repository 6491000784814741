import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import type { Problem } from '#api/problem.ts'
import type { TreeEntry } from '#api/tree.ts'
import { filterEntries } from '../../buildkit/context/context-filter.ts'
import { lenientPath, shownName } from './source-path.ts'

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
const maxShown = 3

/**
 * The entries that are refused, until the whole archive is known: `.dockerignore` may come last, and
 * what it excludes need not be taken.
 */
export class Refusals {
  readonly #refused: { name: Buffer; problem: Problem }[] = []

  /** Keeps a refusal for later. Throws it if it concerns more than one entry. */
  add(problem: Problem, name: Buffer, canSkip: boolean): void {
    if (!canSkip || !ofOneEntry.has(problem.code)) throw problem
    this.#refused.push({ name, problem })
    if (this.#refused.length > maxRefusals) throw this.#refused[0]!.problem
  }

  get any(): boolean {
    return this.#refused.length > 0
  }

  /**
   * Throws the first refusal of an entry that the ignore file does not exclude. Returns a line about
   * the others for people.
   */
  settle(ignoreFile: string): string {
    const patterns = parseIgnoreFile(ignoreFile)
    const taken = this.#refused.find(({ name }) => !isExcluded(lenientPath(name), patterns))
    if (taken) throw taken.problem
    const shown = this.#refused.slice(0, maxShown).map(({ name }) => shownName(name))
    const more = this.#refused.length - shown.length
    return `Left out ${this.#refused.length} entries that no source may hold and that .dockerignore excludes: ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`
  }
}

function isExcluded(path: string, patterns: readonly string[]): boolean {
  const names = path.split('/')
  if (path === '' || names.includes('..')) return false
  const entries = names.map((_, at): TreeEntry => {
    const part = names.slice(0, at + 1).join('/')
    if (at < names.length - 1) return { type: 'folder', path: part }
    return { type: 'link', path: part, target: '' }
  })
  try {
    return !filterEntries(entries, patterns).some((entry) => entry.path === path)
  } catch {
    return false // a bad pattern excludes nothing; the build reports it
  }
}
