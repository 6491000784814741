import type { NewEvent } from '#api/event.ts'
import { AhoCorasick } from './aho-corasick.ts'
import { secretEncodings } from './secret-encodings.ts'
import { TokenPatterns } from './token-patterns.ts'

const hidden = '***'
/** A line's end that might begin a secret is held back until more comes; so few letters tell nothing. */
const revealingLetters = 4
/** A secret may be broken over lines, but not by more empty ones than this. */
const maxLineBreaks = 16
/** As long a line as this may have been cut by who reports it: the next text goes on with it. */
const cutLineLetters = 16_384
/** Fields that hold words of ours, which a secret may happen to be. */
const ownWords = new Set([
  'type',
  'code',
  'title',
  'status',
  'fault',
  'state',
  'from',
  'stream',
  'way',
])

/**
 * Takes secrets out of a deployment's events before anybody can read them: known values in all the forms of
 * `secret-forms.ts`, and what has the shape of a token. Output of a step is read as one stream, so that nothing slips
 * through between two events, nor between two lines.
 */
export class Redactor {
  readonly #secrets: AhoCorasick
  readonly #streams = new Map<string, RedactedStream>()
  #queue: Entry[] = []

  constructor(values: Iterable<string | Uint8Array>) {
    this.#secrets = new AhoCorasick(secretEncodings(values))
  }

  take(event: NewEvent): void {
    if (event.type !== 'log') {
      if (event.type === 'step' && event.status !== 'started') this.#end(event.step)
      this.#queue.push({ event: this.hide(event), from: 0, to: 0 })
      return
    }
    const name = `${event.stream} ${event.step}`
    const stream = this.#streams.get(name) ?? new RedactedStream(this.#secrets)
    this.#streams.set(name, stream)
    const from = stream.letters
    stream.add(event.text)
    this.#queue.push({ event, stream, from, to: stream.letters })
  }

  /** What was taken, in order, but for what may yet turn out to begin a secret; with `all`, that too. */
  give(all: boolean): NewEvent[] {
    const given: Entry[] = []
    const held: Entry[] = []
    for (const entry of this.#queue) {
      const { event, stream, to } = entry
      const undecided = stream !== undefined && stream.safe < to
      // What is missing from a step's output keeps its place in it.
      const waits =
        event.type === 'dropped' &&
        held.some((other) => 'step' in other.event && other.event.step === event.step)
      if (!all && (undecided || waits)) held.push(entry)
      else given.push(entry)
    }
    this.#queue = held
    return given.map(({ event, stream, from, to }) => {
      if (event.type !== 'log' || !stream) return event
      const text = stream.redacted(event.text, from)
      stream.forget(to)
      return text === event.text ? event : { ...event, text }
    })
  }

  /** The same without secrets, whatever it is; texts of a list are read as lines that follow each other. */
  hide<T>(value: T): T {
    if (typeof value === 'string') return this.#lines([value])[0] as T
    if (Array.isArray(value)) {
      const texts = value.every((item) => typeof item === 'string')
      return (texts ? this.#lines(value) : value.map((item: unknown) => this.hide(item))) as T
    }
    if (typeof value !== 'object' || value === null) return value
    const fields = Object.entries(value).map(([name, field]) => [
      name,
      ownWords.has(name) ? field : this.hide(field),
    ])
    return Object.fromEntries(fields) as T
  }

  #lines(texts: string[]): string[] {
    const stream = new RedactedStream(this.#secrets)
    const starts = texts.map((text) => {
      const from = stream.letters
      stream.add(text)
      return from
    })
    return texts.map((text, index) => stream.redacted(text, starts[index]!))
  }

  #end(step: string): void {
    for (const stream of ['stdout', 'stderr']) {
      this.#streams.get(`${stream} ${step}`)?.end()
      this.#streams.delete(`${stream} ${step}`)
    }
  }
}

/** `from` and `to` are the numbers of the letters of a log event in its stream. */
type Entry = { event: NewEvent; stream?: RedactedStream; from: number; to: number }

/** Texts that follow each other, and which of their letters are hidden. Line breaks are no letters, and hide nothing. */
class RedactedStream {
  /** How many came so far. */
  letters = 0
  readonly #secrets: AhoCorasick
  readonly #shapes = new TokenPatterns()
  #node = 0
  #lineBreaks = 0
  #lineLetters = 0
  #ended = false
  /** Hidden letters, from … to (not with it), in order, apart from each other. */
  #spans: { from: number; to: number }[] = []
  /** How many of them, from the first, nobody asks for any more; they go when they are half of all. */
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

  /** Letters before this one are decided. */
  get safe(): number {
    if (this.#ended) return this.letters
    const depth = this.#secrets.depth[this.#node]!
    return Math.min(
      this.letters - (depth < revealingLetters ? 0 : depth),
      this.#shapes.undecidedFrom,
    )
  }

  /** A text that was added, whose first letter has this number, as readers may see it. */
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

  /** Letters before this one are not asked for again. */
  forget(before: number): void {
    this.#forgotten = this.#firstSpanAfter(before)
    if (this.#forgotten * 2 < this.#spans.length) return
    this.#spans.splice(0, this.#forgotten)
    this.#forgotten = 0
  }

  /** The first span that ends behind this letter, by halving: there may be one for each word of a log. */
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
    if (token >= 0) this.#hide(token)
    const near = this.#secrets.near
    const at = this.#node * 128 + code
    const node = code < 128 && at < near.length ? near[at]! : this.#secrets.step(this.#node, code)
    this.#node = node
    if (node === 0) return
    const found = this.#secrets.found[node]!
    if (found >= 0) this.#hide(this.letters - this.#secrets.texts[found]!.length)
  }

  #lineBreak(): void {
    this.#shapes.lineBreak()
    this.#lineLetters = 0
    if (++this.#lineBreaks > maxLineBreaks) this.#node = 0
  }

  /** From this letter to the last one. */
  #hide(first: number): void {
    let from = first
    while (this.#spans.length > this.#forgotten) {
      const last = this.#spans.at(-1)!
      if (last.to < from) break
      from = Math.min(from, last.from)
      this.#spans.pop()
    }
    this.#spans.push({ from, to: this.letters })
  }
}
