import { AhoCorasick } from './aho-corasick.ts'

/** From `min` to `max` letters of one kind. A run takes as many as it can. */
type Run = { kind: Uint8Array; min: number; max: number }
type Shape = {
  /** The possible beginnings of the token. */
  begins: string[]
  follows: Run[]
  /** The token may not follow a letter, a digit or _. */
  apart?: true
  /** The token continues over line ends, up to this text. */
  until?: string
  /** Only this run of `follows` is secret; the letters around it stay. */
  secretRun?: number
}
/**
 * A possible token. `from` is the number of its first letter, later of the first secret one.
 * `certain`: it is a token.
 */
type Candidate = { shape: Shape; from: number; run: number; count: number; certain: boolean }

const runOf = (isOne: (letter: string) => boolean, min: number, max: number): Run => ({
  kind: Uint8Array.from({ length: 128 }, (_, code) => Number(isOne(String.fromCharCode(code)))),
  min,
  max,
})
const run = (letters: RegExp, min: number, max = Infinity) =>
  runOf((letter) => letters.test(letter), min, max)
const word = run(/\w/, 0)
const exactly = (text: string) =>
  text.split('').map((letter) => runOf((other) => other === letter, 1, 1))
const keyKinds = ['', 'RSA ', 'EC ', 'DSA ', 'OPENSSH ', 'ENCRYPTED ']

const shapes: Shape[] = [
  { begins: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], follows: [run(/\w/, 36, 255)] },
  { begins: ['github_pat_'], follows: [run(/\w/, 22, 255)] },
  { begins: ['AKIA', 'ASIA'], follows: [run(/[A-Z0-9]/, 16, 16)], apart: true },
  { begins: ['FlyV1 '], follows: [run(/[\w+/=,-]/, 20)] },
  { begins: ['fm1r_', 'fm1a_', 'fm2_', 'fo1_'], follows: [run(/[\w+/=-]/, 20)], apart: true },
  { begins: ['eyJ'], follows: [run(/[\w-]/, 5, 4000), ...exactly('.eyJ'), run(/[\w.-]/, 1)] },
  {
    begins: keyKinds.map((kind) => `-----BEGIN ${kind}PRIVATE KEY-----`),
    follows: [run(/[\w+/=\\:,\s-]/, 0, 32_768)],
    until: 'PRIVATE KEY-----',
  },
  // scheme://user:password@host: the password. A raw @, / or space ends it, as in RFC 3986.
  {
    begins: ['://'],
    follows: [
      run(/[^\s:@/?#"'<>]/, 0, 256),
      ...exactly(':'),
      run(/[^\s@/?#"'<>]/, 1, 1024),
      ...exactly('@'),
    ],
    secretRun: 2,
  },
]
const ends = shapes.flatMap(({ until }) => until ?? [])
const marks = new AhoCorasick([...shapes.flatMap(({ begins }) => begins), ...ends])
const beginning = marks.texts.map((text) => shapes.find(({ begins }) => begins.includes(text)))

/** Finds texts that look like a token, letter by letter. */
export class TokenPatterns {
  #node = 0
  /** How many letters, digits and _ came in a row. */
  #wordLetters = 0
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
    this.#wordLetters = code < 128 && word.kind[code] === 1 ? this.#wordLetters + 1 : 0
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
      open = Math.min(open, secretRun === undefined ? 0 : candidate.count)
    }
    if (from === Infinity) return -1
    this.openLetters = open
    return from
  }

  lineBreak(): void {
    this.#node = 0
    this.#wordLetters = 0
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
    if (shape.apart && this.#wordLetters > text.length) return -1
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
