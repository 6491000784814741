import type { AhoCorasick } from './aho-corasick.ts'
import { TokenPatterns } from './token-patterns.ts'

const hidden = '***'
/**
 * The end of a line that might begin a secret is held until more text comes. Fewer letters than
 * this reveal nothing.
 */
const revealingLetters = 4
/** A secret may be split over lines, but not by more line breaks in a row than this. */
const maxLineBreaks = 16
/** The sender may have cut a line of this length, so the next text continues it. */
const cutLineLetters = 16_384
/**
 * Consecutive texts, and which of their letters are redacted. Line breaks do not count as letters,
 * and do not split a secret.
 */
export class RedactedStream {
  /** How many letters were added so far. */
  letters = 0
  readonly #secrets: AhoCorasick
  readonly #shapes = new TokenPatterns()
  #node = 0
  #lineBreaks = 0
  #lineLetters = 0
  #ended = false
  /** Redacted letters as spans: sorted, separate, `to` exclusive. */
  #spans: { from: number; to: number }[] = []
  /**
   * How many spans, from the first, are no longer needed. They are removed when they are half of
   * all.
   */
  #forgotten = 0

  constructor(secrets: AhoCorasick) {
    this.#secrets = secrets
  }

  add(text: string): void {
    this.#lineLetters = 0
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code === 10 || code === 13) this.#lineBreak()
      else this.#letter(code)
    }
    if (this.#lineLetters < cutLineLetters) this.#lineBreak()
  }

  end(): void {
    this.#ended = true
  }

  /** For all letters before this one, it is decided whether they are redacted. */
  get safe(): number {
    if (this.#ended) return this.letters
    const depth = this.#secrets.depth[this.#node]!
    return Math.min(
      this.letters - (depth < revealingLetters ? 0 : depth),
      this.#shapes.undecidedFrom,
    )
  }

  /** Redacts a text that was added. `from` is the number of its first letter. */
  redacted(text: string, from: number): string {
    let next = this.#firstSpanAfter(from)
    if (next === this.#spans.length) return text

    let out = ''
    let letter = from
    let isHidden = false

    for (const char of text.split('')) {
      if (char === '\n' || char === '\r') {
        out += char
        isHidden = false
        continue
      }
      while (next < this.#spans.length && this.#spans[next]!.to <= letter) next++
      const span = this.#spans[next]
      const isNow = span !== undefined && span.from <= letter
      if (!isNow) out += char
      else if (!isHidden) out += hidden
      isHidden = isNow
      letter++
    }

    return out
  }

  /** Letters before this one are no longer needed. */
  forget(before: number): void {
    this.#forgotten = this.#firstSpanAfter(before)
    if (this.#forgotten * 2 < this.#spans.length) return
    this.#spans.splice(0, this.#forgotten)
    this.#forgotten = 0
  }

  /**
   * The first span that ends after this letter. It is a binary search: there may be one span for
   * each word of a log.
   */
  #firstSpanAfter(letter: number): number {
    let low = this.#forgotten
    for (let high = this.#spans.length; low < high;) {
      const middle = (low + high) >> 1
      if (this.#spans[middle]!.to <= letter) low = middle + 1
      else high = middle
    }
    return low
  }

  #letter(code: number): void {
    this.#lineBreaks = 0
    this.#lineLetters++
    const token = this.#shapes.letter(code, this.letters++)
    if (token >= 0) this.#mark(token, this.#shapes.openLetters)
    const near = this.#secrets.near
    const at = this.#node * 128 + code
    const node = code < 128 && at < near.length ? near[at]! : this.#secrets.step(this.#node, code)
    this.#node = node
    if (node === 0) return
    const found = this.#secrets.found[node]!
    if (found >= 0) this.#mark(this.letters - this.#secrets.texts[found]!.length)
  }

  #lineBreak(): void {
    this.#shapes.lineBreak()
    this.#lineLetters = 0
    if (++this.#lineBreaks > maxLineBreaks) this.#node = 0
  }

  /** Redacts the letters from `first` to the last one added, but not the last `open` ones. */
  #mark(first: number, open = 0): void {
    let from = first
    let to = this.letters - open
    while (this.#spans.length > this.#forgotten) {
      const last = this.#spans.at(-1)!
      if (last.to < from) break
      from = Math.min(from, last.from)
      to = Math.max(to, last.to)
      this.#spans.pop()
    }
    this.#spans.push({ from, to })
  }
}
