/** The numbers of a picture of stacked columns, without any markup. */

/** The picture in its own units. The page stretches it: it has no text inside. */
export const area = { width: 1000, height: 200 } as const

/** A column for each thing, from the left. Its parts are stacked from below, in the order given. */
export type Column = { left: number; width: number; parts: Block[]; isCut: boolean }
/** A part that is not empty. `at`: its index. `top`: from the upper edge. */
export type Block = { at: number; top: number; height: number }

/** Few columns are not stretched over the whole width. */
const fewest = 12
const gap = 0.2

/** `top`: the value at the upper edge. What is higher is cut there. */
export function columnsOf(all: readonly (readonly number[])[], top: number): Column[] {
  const slot = area.width / Math.max(fewest, all.length)
  return all.map((values, at) => ({
    left: rounded(at * slot),
    width: rounded(slot * (1 - gap)),
    parts: stacked(values, top),
    isCut: sumOf(values) > top,
  }))
}

function stacked(values: readonly number[], top: number): Block[] {
  const blocks: Block[] = []
  let below = 0
  for (const [at, value] of values.entries()) {
    const [from, to] = [share(below, top), share(below + known(value), top)]
    const height = rounded((to - from) * area.height)
    if (height > 0) blocks.push({ at, top: rounded((1 - to) * area.height), height })
    below += known(value)
  }
  return blocks
}

/** How much of `whole` it is, from 0 to 1. */
export const share = (value: number, whole: number): number =>
  whole > 0 ? Math.min(1, known(value) / whole) : 0

export const sumOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + known(value), 0)

export const averageOf = (values: readonly number[]): number =>
  sumOf(values) / Math.max(1, values.length)

/** The one in the middle. 0: there is none. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.map(known).toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

/**
 * The value at the upper edge of a picture: that of the highest column, unless it would make all
 * others too small to see.
 */
export function topOf(all: readonly (readonly number[])[]): number {
  const sums = all.map(sumOf)
  const usual = medianOf(sums) * 4
  return Math.max(...(usual > 0 ? sums.filter((sum) => sum <= usual) : sums), 0)
}

/** A clock that was set back, or a broken record, gives no column. */
const known = (value: number): number => (Number.isFinite(value) && value > 0 ? value : 0)

const rounded = (value: number): number => Math.round(value * 10) / 10
