import type { Minimum } from './minimums.ts'

type Parts = { numbers: [number, number, number]; isPrerelease: boolean }

const pattern = /^v?(\d+)\.(\d+)(?:\.(\d+))?(-[\w.-]+)?(?:\+.*)?$/
/** What the lab's planner adds to the version of the railpack that it stands in for. */
const standIn = /-standin$/

export const isStandIn = (version: string): boolean => standIn.test(version)

/**
 * Whether a version is at least the lowest of its line, or newer than every line. Null: it is no
 * version, or it is `0.0.0`, as programs say that were built without one.
 */
export function isNewEnough(version: string, { lowest }: Minimum): boolean | null {
  const found = partsOf(version.replace(standIn, ''))
  if (found === null) return null

  const lines = lowest.flatMap((text) => partsOf(text) ?? [])
  const own = lines.find(({ numbers: [major, minor] }) => isLine(found, major, minor))
  const newest = lines.at(-1)
  const needed = own ?? newest
  return needed === undefined || compare(found, needed) >= 0
}

/** The lower of two versions. */
export const lower = (a: string, b: string): string => {
  const [left, right] = [partsOf(a), partsOf(b)]
  return left && right && compare(left, right) <= 0 ? a : b
}

const isLine = ({ numbers }: Parts, major: number, minor: number) =>
  numbers[0] === major && numbers[1] === minor

function partsOf(version: string): Parts | null {
  const [, major, minor, patch = '0', tail] = pattern.exec(version) ?? []
  const numbers: Parts['numbers'] = [Number(major), Number(minor), Number(patch)]
  if (major === undefined || numbers.every((number) => number === 0)) return null
  return { numbers, isPrerelease: tail !== undefined }
}

/** A prerelease is older than its release. */
function compare(a: Parts, b: Parts): number {
  const at = a.numbers.findIndex((number, index) => number !== b.numbers[index])
  if (at >= 0) return a.numbers[at]! - b.numbers[at]!
  return Number(b.isPrerelease) - Number(a.isPrerelease)
}
