/** What a step wrote to one of its streams, or how much of it is missing. */
type Part =
  | { stream: 'stdout' | 'stderr'; bytes: Buffer }
  | { lost: { lines: number; bytes: number } }

/** The first byte of a mark. */
const first = 0x1e
const words = /^(stdout|stderr|end|lost (\d{1,15}) (\d{1,15}));/
/** The length of the longest words of a mark, with the semicolon. */
const maxWords = 40

/**
 * Reads the output of a step from `runc-with-output-limit`: both streams in one, in their order,
 * with marks. A mark holds a key that the step does not know, so text that looks like a mark is
 * text.
 */
export class MarkedOutput {
  /** Whether all output of the step has arrived. */
  ended = false
  readonly #begin: Buffer
  #stream: 'stdout' | 'stderr' = 'stderr'
  /** The beginning of a mark whose end has not arrived. */
  #held = Buffer.alloc(0)

  constructor(key: string) {
    this.#begin = Buffer.from(`\x1e${key} `)
  }

  /** Takes bytes cut anywhere. */
  *parts(news: Buffer): Generator<Part, void> {
    let bytes = Buffer.concat([this.#held, news])
    this.#held = Buffer.alloc(0)

    for (let from = 0; ;) {
      const at = bytes.indexOf(this.#begin, from)
      if (at < 0) break
      from = at + this.#begin.length
      const mark = words.exec(bytes.toString('latin1', from, from + maxWords))
      if (!mark && bytes.length - from >= maxWords) continue

      yield* this.#text(bytes.subarray(0, at))
      if (!mark) {
        this.#held = bytes.subarray(at)
        return
      }
      bytes = bytes.subarray(from + mark[0].length)
      from = 0
      if (mark[2]) yield { lost: { lines: Number(mark[2]), bytes: Number(mark[3]) } }
      else if (mark[1] === 'end') this.ended = true
      else this.#stream = mark[1] === 'stdout' ? 'stdout' : 'stderr'
    }

    const text = bytes.length - this.#begunBytes(bytes)
    this.#held = bytes.subarray(text)
    yield* this.#text(bytes.subarray(0, text))
  }

  *#text(bytes: Buffer): Generator<Part, void> {
    if (bytes.length > 0) yield { stream: this.#stream, bytes }
  }

  /** How many bytes at the end may begin a mark. */
  #begunBytes(bytes: Buffer): number {
    const at = bytes.lastIndexOf(first)
    if (at < 0 || !this.#begin.subarray(0, -1).includes(bytes.subarray(at))) return 0
    return bytes.length - at
  }
}
