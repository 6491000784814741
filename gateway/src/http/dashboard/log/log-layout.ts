/** Where the lines of a log are, in rows of one height. This file runs in browsers too. */
import { coloured, maxShownChars } from './coloured.ts'
import type { Group } from './log-model.ts'

/** The heading of a group, or one of its lines. `line`: its index, or -1 for the heading. */
export type Place = { group: Group; line: number }

/** Of each line: how many characters wide it is, and the rows of its group up to its end. */
type Wrapped = { cells: number[]; ends: number[] }

/** How often a measurement looks at the clock. */
const linesAtOnce = 64

/**
 * Knows the row of each place without drawing it. A line is one row, or as many as it needs if lines
 * wrap. A line is measured once. One that was not measured yet counts as one row.
 */
export class LogLayout {
  /** How many rows there are. */
  count = 0
  /** Whether all lines are measured that `update` has seen. */
  isComplete = true
  readonly #groups: readonly Group[]
  readonly #isOpen: (group: Group) => boolean
  /** The number of the first row of each group. */
  #tops: number[] = []
  /** Characters in a row. Infinity: lines do not wrap. */
  #columns = Infinity
  readonly #wrapped = new Map<Group, Wrapped>()

  constructor(groups: readonly Group[], isOpen: (group: Group) => boolean) {
    this.#groups = groups
    this.#isOpen = isOpen
  }

  /** Infinity: lines do not wrap. */
  wrapAt(columns: number): void {
    if (columns === this.#columns) return
    this.#columns = columns
    for (const wrapped of this.#wrapped.values()) wrapped.ends = []
  }

  /** Takes in what has changed in the groups. Measures lines until this time of `performance.now`. */
  update(until = Infinity): void {
    this.#tops.length = this.#groups.length
    this.isComplete = true
    let row = 0
    for (const [at, group] of this.#groups.entries()) {
      this.#tops[at] = row
      if (this.#isOpen(group)) {
        if (this.#columns !== Infinity) this.#measure(group, until)
        row += this.#before(group, group.lines.length)
      }
      row++
    }
    this.count = row
  }

  rowOf({ group, line }: Place): number {
    const top = this.#tops[group.number - 1]!
    return line >= 0 && this.#isOpen(group) ? top + 1 + this.#before(group, line) : top
  }

  /** How many rows a place takes. */
  heightOf({ group, line }: Place): number {
    return line < 0 ? 1 : this.#before(group, line + 1) - this.#before(group, line)
  }

  /** The places that are in the rows from one number to another. */
  *places(from: number, to: number): Generator<Place> {
    let at = Math.max(
      0,
      this.#tops.findLastIndex((top) => top <= from),
    )
    for (; at < this.#tops.length && this.#tops[at]! < to; at++) {
      const [group, top] = [this.#groups[at]!, this.#tops[at]!]
      if (top >= from) yield { group, line: -1 }
      if (!this.#isOpen(group)) continue
      const lines = group.lines.length
      let line = this.#lineAt(group, Math.max(0, from - top - 1))
      for (; line < lines && top + 1 + this.#before(group, line) < to; line++) yield { group, line }
    }
  }

  /** The place after another, or before it. Null: there is none. */
  neighbour({ group, line }: Place, step: 1 | -1): Place | null {
    const next = line + step
    const last = this.#isOpen(group) ? group.lines.length - 1 : -1
    if (next >= -1 && next <= last) return { group, line: next }
    const other = this.#groups[group.number - 1 + step]
    if (!other) return null
    return { group: other, line: step > 0 || !this.#isOpen(other) ? -1 : other.lines.length - 1 }
  }

  /** The rows of a group before one of its lines, without the heading. */
  #before(group: Group, line: number): number {
    const ends = this.#endsOf(group)
    return line < ends.length ? (ends[line - 1] ?? 0) : (ends.at(-1) ?? 0) + line - ends.length
  }

  /** The line that is in a row of its group, or the number of lines. */
  #lineAt(group: Group, row: number): number {
    const ends = this.#endsOf(group)
    const measured = ends.at(-1) ?? 0
    if (row >= measured) return Math.min(group.lines.length, ends.length + row - measured)
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (ends[middle]! > row) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Of the lines that were measured: none, unless lines wrap. */
  #endsOf(group: Group): readonly number[] {
    return this.#columns === Infinity ? [] : (this.#wrapped.get(group)?.ends ?? [])
  }

  #measure(group: Group, until: number): void {
    const wrapped = this.#wrapped.get(group) ?? { cells: [], ends: [] }
    this.#wrapped.set(group, wrapped)
    const { cells, ends } = wrapped
    for (let at = ends.length; at < group.lines.length; at++) {
      if (at >= cells.length && at % linesAtOnce === 0 && performance.now() > until) {
        this.isComplete = false
        return
      }
      cells[at] ??= cellsOf(group.lines[at]!.text)
      ends.push((ends[at - 1] ?? 0) + Math.max(1, Math.ceil(cells[at]! / this.#columns)))
    }
  }
}

/** What a line that was cut says at its end. */
const cutText = 40

/** How wide a line is, in characters of one width. Never less than it is: a row is never cut. */
export function cellsOf(text: string): number {
  const more = text.length > maxShownChars ? cutText : 0
  const shown = text.slice(0, maxShownChars)
  if (/^[\x20-\x7e]*$/.test(shown)) return shown.length + more
  let cells = more
  for (const piece of coloured(shown))
    for (const character of piece.text)
      cells += character === '\t' ? 8 : character < '\u0300' ? 1 : 2
  return cells
}
