import type { Difference } from '#api/release.ts'

/** The differences of two plain values, by path. A value on one side only is one difference. */
export function differences(before: unknown, after: unknown, path = ''): Difference[] {
  if (before === after) return []
  if (!isNest(before) || !isNest(after) || Array.isArray(before) !== Array.isArray(after))
    return [
      { path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) },
    ]
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return keys.flatMap((key) => differences(before[key], after[key], path ? `${path}.${key}` : key))
}

const isNest = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
