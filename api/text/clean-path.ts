/**
 * The shortest form of a path, like Go's path.Clean: no slash at the end, and `.` for an empty
 * path. Node's own `normalize` copies the path so far at each `..`: its time grows with the square
 * of the input.
 */
export function cleanPath(path: string): string {
  const isRooted = path.startsWith('/')
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (name !== '..') names.push(name)
    else if (names.length > 0 && names.at(-1) !== '..') names.pop()
    else if (!isRooted) names.push(name)
  }
  const cleaned = names.join('/')
  return isRooted ? `/${cleaned}` : cleaned || '.'
}

/** Whether a path leads out of the folder that it is relative to. */
export const isOutside = (path: string): boolean => /^(?:\/|\.\.(?:\/|$))/.test(cleanPath(path))
