import { terminalText } from '#api/text/visible-text.ts'
import type { Group, LogModel } from '../log/log-model.ts'

/** A search yields to the page after this time. */
const sliceMs = 8

/** Finds the lines that have a text, also in lines that come later. */
export class LogSearch {
  /** What the reader searches for, in lower case. */
  needle = ''
  /** The number of lines found so far. */
  count = 0
  readonly #model: LogModel
  /** By group: the numbers of the lines found, and how many lines were looked at. */
  #found: { lines: number[]; seen: number }[] = []

  constructor(model: LogModel) {
    this.#model = model
  }

  begin(text: string): void {
    this.needle = text.toLowerCase()
    this.count = 0
    this.#found = []
  }

  /** Looks at lines that it has not seen. Returns whether there are more. */
  more(): boolean {
    if (this.needle === '') return false
    const until = performance.now() + sliceMs
    for (const [at, group] of this.#model.groups.entries()) {
      const found = (this.#found[at] ??= { lines: [], seen: 0 })
      for (; found.seen < group.lines.length; found.seen++) {
        if (found.seen % 64 === 0 && performance.now() > until) return true
        const { text } = group.lines[found.seen]!
        if (!plain(text).toLowerCase().includes(this.needle)) continue
        found.lines.push(group.first + found.seen)
        this.count++
      }
    }
    return false
  }

  /** The match after another, or before it. From the end it goes on at the beginning. */
  next(at: number, step: 1 | -1): { at: number; group: Group; line: number } | null {
    if (this.count === 0) return null
    const from = at < 0 && step < 0 ? 0 : at
    const wanted = (from + step + this.count) % this.count
    let before = 0
    for (const [index, { lines }] of this.#found.entries()) {
      const line = lines[wanted - before]
      if (line !== undefined) return { at: wanted, group: this.#model.groups[index]!, line }
      before += lines.length
    }
    return null
  }
}

// oxlint-disable-next-line no-control-regex -- it matches control characters
const control = /[\x00-\x08\x0b-\x1f]/

/** Most lines have nothing that a terminal would not show. */
const plain = (text: string): string => (control.test(text) ? terminalText(text) : text)
