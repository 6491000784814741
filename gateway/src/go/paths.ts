import { trimEnd } from '#api/text/trim-end.ts'
import { cleanPath as clean } from '#api/text/clean-path.ts'

// Paths as Go's `path` package treats them. Railpack and BuildKit's client use that package.

export { clean }

/** Go's path.Join of a folder and a path below it. */
export const join = (folder: string, path: string): string => clean(`${folder}/${path}`)

/** Go's path.Dir: all before the last slash, cleaned (`rel/d/` → `rel/d`, where Node says `rel`). */
export const dir = (path: string): string => clean(path.slice(0, path.lastIndexOf('/') + 1))

/** Go's path.Base: the last name, `.` for an empty path, `/` for only slashes. */
export function base(path: string): string {
  const bare = trimEnd(path, '/')
  return bare === '' ? (path === '' ? '.' : '/') : bare.slice(bare.lastIndexOf('/') + 1)
}

/** The absolute path if the working directory is `cwd`. */
export const resolve = (cwd: string, path: string): string =>
  path.startsWith('/') ? clean(path) : clean(`/${cwd}/${path}`)

/**
 * Like `resolve`, for the destination of a copy. Keeps a final `/` or `/.`, which decides how the
 * copy works.
 */
export function resolveDestination(cwd: string, path: string): string {
  const resolved = resolve(cwd, path)
  const root = resolved === '/'
  if (path.endsWith('/')) return root ? '/' : `${resolved}/`
  if (path.endsWith('/.')) return root ? '/.' : `${resolved}/.`
  return resolved
}
