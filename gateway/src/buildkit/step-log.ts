import { StringDecoder } from 'node:string_decoder'
import type { Tell } from '../deployments/tell.ts'

export type Stream = 'stdout' | 'stderr'

const maxLineChars = 16_384
/** What `runc-with-output-limit` writes where it has left something out. */
const leftOut = /^\[tarmac: (\d{1,15}) lines, (\d{1,15}) bytes of output are not kept here\]$/m

/** The output of one step: bytes cut anywhere in, whole lines out. */
export class StepLog {
  readonly #step: string
  readonly #tell: Tell
  readonly #lines = { stdout: new Lines(), stderr: new Lines() }

  constructor(step: string, tell: Tell) {
    this.#step = step
    this.#tell = tell
  }

  add(stream: Stream, bytes: Uint8Array): void {
    this.#take(stream, this.#lines[stream].add(bytes))
  }

  /** Tells what is held; more may still come. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const) this.#take(stream, this.#lines[stream].rest())
  }

  #take(stream: Stream, text: string | null): void {
    if (text === null) return
    const gap = leftOut.exec(text)
    if (!gap) return this.#tell({ type: 'log', step: this.#step, stream, text })
    const end = gap.index + gap[0].length + 1
    if (gap.index > 1) this.#take(stream, text.slice(0, gap.index - 1))
    this.#tell({ type: 'dropped', step: this.#step, lines: Number(gap[1]), bytes: Number(gap[2]) })
    if (end <= text.length) this.#take(stream, text.slice(end))
  }
}

/** Bytes cut anywhere in, whole lines out (several joined by line ends, without the last one's). */
class Lines {
  readonly #decoder = new StringDecoder('utf8')
  #held = ''

  add(bytes: Uint8Array): string | null {
    const text = this.#decoder.write(Buffer.from(bytes))
    // Only the new text is searched: what is held has no line end, and may come one byte at a time.
    const end = text.lastIndexOf('\n')
    const heldChars = this.#held.length
    this.#held += text
    if (end < 0) return this.#held.length > maxLineChars ? this.#cut(this.#held.length) : null
    return this.#cut(heldChars + end)
  }

  rest(): string | null {
    this.#held += this.#decoder.end()
    return this.#held === '' ? null : this.#cut(this.#held.length)
  }

  #cut(end: number): string {
    const text = this.#held.slice(0, end)
    this.#held = this.#held.slice(end + 1)
    return text
  }
}
