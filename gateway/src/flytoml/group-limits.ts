import { refuse } from './schema.ts'

/**
 * Limit for the characters of fly.toml, its files and the environment, times the process groups.
 * Each group may get all of them.
 */
const maxGroupChars = 6 * 2 ** 20
/** Limit for the lines, keys and items of fly.toml, times the process groups. */
const maxGroupParts = 50_000

/** Refuses too many groups before it builds their configs, which takes the time and memory. */
export function refuseManyGroups(groups: number, each: { sizeChars: number; parts: number }): void {
  const { sizeChars, parts } = each
  if (groups * parts > maxGroupParts)
    refuse(
      'processes',
      `has ${groups} groups, and each of them may get ${parts} lines, keys and items. The product may be at most ${maxGroupParts}. Use fewer groups, or a shorter file.`,
    )
  if (groups * sizeChars <= maxGroupChars) return
  refuse(
    'processes',
    `has ${groups} groups, and each of them may get ${sizeChars} characters of fly.toml, its files and the environment. The product may be at most ${maxGroupChars}. Use fewer groups, or put large files into the image.`,
  )
}
