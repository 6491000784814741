import { isDeepStrictEqual } from 'node:util'

/** Returns where and how two values first differ, or null. */
export function difference(recorded: unknown, ours: unknown, place: string): string | null {
  if (isDeepStrictEqual(recorded, ours)) return null
  if (!isParent(recorded) || !isParent(ours))
    return `${place}: recorded ${JSON.stringify(recorded)}, ours ${JSON.stringify(ours)}`
  for (const key of new Set([...Object.keys(recorded), ...Object.keys(ours)])) {
    const found = difference(recorded[key], ours[key], `${place}.${key}`)
    if (found) return found
  }
  return null
}

const isParent = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
