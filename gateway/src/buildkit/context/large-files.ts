import { errorMessage } from '#api/error-code.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import { filterEntries } from './context-filter.ts'

/** From this size on, a second write on the daemon's disk costs more than a request. */
export const largeBytes = 32 * 1024 ** 2

/**
 * The files of a build's source that the daemon reads by themselves. It writes the archive to its
 * disk, and all files again when it unpacks that; a file of its own it writes once. It can put such
 * a file into the root of a file system only, under a name that it takes as it is
 * (util/pathutil.SafeFileName of BuildKit).
 */
export const largeFiles = (
  entries: readonly TreeEntry[],
  ignore: readonly string[],
): readonly TreeFile[] =>
  filterEntries(entries.filter(isLarge), ignore).filter((entry) => entry.type === 'file')

/**
 * The path of the large file that the daemon got with another content than the tree has, by the
 * daemon's error (BuildKit source/http/source.go). Null: the error is about something else.
 */
export function mismatchedIn(failure: unknown, large: readonly TreeFile[]): string | null {
  const said = errorMessage(failure).replace(/\)$/, '')
  if (!said.includes('digest mismatch ')) return null
  return large.find(({ sha256 }) => said.endsWith(`sha256:${sha256}`))?.path ?? null
}

const isLarge = (entry: TreeEntry): boolean =>
  entry.type === 'file' && entry.sizeBytes >= largeBytes && isPlainName(entry.path)

const isPlainName = (path: string): boolean =>
  !path.includes('/') && path.trim() === path && !/\p{Cc}/u.test(path)
