import { AhoCorasick } from './aho-corasick.ts'
import { type Shape, shapes } from './token-shapes.ts'

/**
 * A possible token. `from` is the number of its first letter, later of the first secret one.
 * `certain`: it is a token.
 */
type Candidate = { shape: Shape; from: number; run: number; count: number; certain: boolean }

const wordLetter = /\w/
const isWord = Uint8Array.from({ length: 128 }, (_, code) =>
  Number(wordLetter.test(String.fromCharCode(code))),
)
const ends = shapes.flatMap(({ until }) => until ?? [])
const marks = new AhoCorasick([...shapes.flatMap(({ begins }) => begins), ...ends])
const beginning = marks.texts.map((text) => shapes.find(({ begins }) => begins.includes(text)))

/** Finds texts that look like a token, letter by letter. */
export class TokenPatterns {
  #node = 0
  /** Which of the last 32 letters are letters, digits or _, as bits. The last letter is bit 0. */
  #words = 0
  #candidates: Candidate[] = []
  /** How many of the last letters belong to a found token and are not secret. */
  openLetters = 0

  /**
   * Adds the letter with this number. Returns the number of the first letter of the token that it
   * belongs to, or -1.
   */
  letter(code: number, number: number): number {
    this.openLetters = 0
    const from = this.#candidates.length > 0 ? this.#growAll(code, number) : -1
    this.#words = (this.#words << 1) | (code < 128 ? isWord[code]! : 0)
    const at = this.#node * 128 + code
    this.#node =
      code < 128 && at < marks.near.length ? marks.near[at]! : marks.step(this.#node, code)
    if (this.#node === 0) return from
    const found = marks.found[this.#node]!
    const begun = found < 0 ? -1 : this.#mark(found, number)
    if (begun >= 0) this.openLetters = 0
    return from < 0 ? begun : from
  }

  /**
   * Adds a letter to each candidate. Returns the first letter of a token that it belongs to, or -1.
   */
  #growAll(code: number, number: number): number {
    let from = Infinity
    let open = Infinity
    for (const candidate of this.#candidates) {
      if (!grow(candidate, code)) {
        this.#candidates = this.#candidates.filter((other) => other !== candidate)
        continue
      }
      const { secretRun } = candidate.shape
      if (candidate.run === secretRun && candidate.count === 1) candidate.from = number
      if (!candidate.certain) continue
      from = Math.min(from, candidate.from)
      const isSecret = secretRun === undefined || candidate.run === secretRun
      open = Math.min(open, isSecret ? 0 : candidate.count)
    }
    if (from === Infinity) return -1
    this.openLetters = open
    return from
  }

  lineBreak(): void {
    this.#node = 0
    this.#words = 0
    if (this.#candidates.length > 0)
      this.#candidates = this.#candidates.filter(
        (candidate) => candidate.shape.until && grow(candidate, 10),
      )
  }

  /**
   * The first letter that may still become part of a token if the line continues. Infinity if there
   * is none.
   */
  get undecidedFrom(): number {
    return Math.min(...this.#candidates.flatMap(({ certain, from }) => (certain ? [] : [from])))
  }

  #mark(found: number, number: number): number {
    const text = marks.texts[found]!
    this.#candidates = this.#candidates.filter(({ shape }) => shape.until !== text)
    const shape = beginning[found]
    if (!shape || this.#candidates.some((other) => other.shape === shape)) return -1
    if (shape.apart && (this.#words >>> text.length) & 1) return -1
    const from = number + 1 - text.length
    const certain = shape.until !== undefined
    this.#candidates.push({ shape, from, run: 0, count: 0, certain })
    return certain ? from : -1
  }
}

/** Whether the token continues with this letter. */
function grow(candidate: Candidate, code: number): boolean {
  for (;;) {
    const { kind, min, max } = candidate.shape.follows[candidate.run]!
    const isLast = candidate.run === candidate.shape.follows.length - 1
    if (code < 128 && kind[code] === 1 && candidate.count < max) {
      candidate.count++
      if (isLast && candidate.count >= min) candidate.certain = true
      return true
    }
    if (isLast || candidate.count < min) return false
    candidate.run++
    candidate.count = 0
  }
}
