import { terminalText } from '#api/text/visible-text.ts'
import type { Group, LogModel } from '../log/log-model.ts'
import type { Finder } from './log-rows.ts'

/** A search yields to the page after this time. */
const sliceMs = 8

/** Finds the lines that have a text, also in lines that come later. */
export class LogSearch {
  /** Where a line has what the reader searches for. Null: nothing is searched. */
  find: Finder | null = null
  /** The number of lines found so far. */
  count = 0
  readonly #model: LogModel
  /** By group: the numbers of the lines found, and how many lines were looked at. */
  #found: { lines: number[]; seen: number }[] = []

  constructor(model: LogModel) {
    this.#model = model
  }

  /** Throws a SyntaxError for a regular expression that is none. */
  begin(text: string, isPattern: boolean): void {
    this.find = null
    this.count = 0
    this.#found = []
    this.find = finderOf(text, isPattern)
  }

  /** Looks at lines that it has not seen. Returns whether there are more. */
  more(): boolean {
    const { find } = this
    if (!find) return false
    const until = performance.now() + sliceMs
    for (const [at, group] of this.#model.groups.entries()) {
      const found = (this.#found[at] ??= { lines: [], seen: 0 })
      for (; found.seen < group.lines.length; found.seen++) {
        if (found.seen % 64 === 0 && performance.now() > until) return true
        const { text } = group.lines[found.seen]!
        if (find(plain(text)).length === 0) continue
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

/** Both ignore case. An empty text finds nothing. */
function finderOf(text: string, isPattern: boolean): Finder | null {
  if (text === '') return null
  return isPattern ? findPattern(new RegExp(text, 'gi')) : findText(text.toLowerCase())
}

const findPattern =
  (pattern: RegExp): Finder =>
  (text) =>
    Array.from(text.matchAll(pattern))
      .filter(([match]) => match !== '')
      .map((match) => ({ from: match.index, to: match.index + match[0].length }))

const findText =
  (needle: string): Finder =>
  (text) => {
    const found: ReturnType<Finder> = []
    const lower = text.toLowerCase()
    for (let at = lower.indexOf(needle); at !== -1; at = lower.indexOf(needle, at + needle.length))
      found.push({ from: at, to: at + needle.length })
    return found
  }

// oxlint-disable-next-line no-control-regex -- it matches control characters
const control = /[\x00-\x08\x0b-\x1f]/

/** Most lines have nothing that a terminal would not show. */
const plain = (text: string): string => (control.test(text) ? terminalText(text) : text)
