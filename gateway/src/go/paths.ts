import { trimEnd } from '#api/trim-end.ts'
import { cleanPath as clean } from '#api/clean-path.ts'

// Paths as Go's `path` package treats them; railpack and BuildKit's client are written with it.

export { clean }

/** Go's path.Join of a folder and a path below it. */
export const join = (folder: string, path: string): string => clean(`${folder}/${path}`)

/** Go's path.Dir: all before the last slash, cleaned (`rel/d/` → `rel/d`, where Node says `rel`). */
export const dir = (path: string): string => clean(path.slice(0, path.lastIndexOf('/') + 1))

/** Go's path.Base: the last name, `.` of nothing, `/` of slashes. */
export function base(path: string): string {
  const bare = trimEnd(path, '/')
  return bare === '' ? (path === '' ? '.' : '/') : bare.slice(bare.lastIndexOf('/') + 1)
}

/** Where a path stands when the working directory is `cwd`. */
export const resolve = (cwd: string, path: string): string =>
  path.startsWith('/') ? clean(path) : clean(`/${cwd}/${path}`)

/** As `resolve`, for the destination of a copy: whether it ends in `/` or `/.` decides what is meant, so that stays. */
export function resolveDestination(cwd: string, path: string): string {
  const resolved = resolve(cwd, path)
  const root = resolved === '/'
  if (path.endsWith('/')) return root ? '/' : `${resolved}/`
  if (path.endsWith('/.')) return root ? '/.' : `${resolved}/.`
  return resolved
}
