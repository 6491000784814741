import { StringDecoder } from 'node:string_decoder'
import type { EventSink } from '../../deployments/event-sink.ts'

type Stream = 'stdout' | 'stderr'

const maxLineChars = 16_384
/** The output of one step: takes bytes cut anywhere, and emits whole lines. */
export class StepLog {
  readonly #step: string
  readonly #emit: EventSink
  readonly #lines = { stdout: new Lines(), stderr: new Lines() }

  constructor(step: string, emit: EventSink) {
    this.#step = step
    this.#emit = emit
  }

  add(stream: Stream, bytes: Uint8Array): void {
    this.#take(stream, this.#lines[stream].add(bytes))
  }

  /** Emits the held text. More may still come. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const)
      this.#take(stream, this.#lines[stream].rest())
  }

  /** Says how much output is missing here. */
  lost({ lines, bytes }: { lines: number; bytes: number }): void {
    this.flush()
    this.#emit({ type: 'dropped', step: this.#step, lines, bytes })
  }

  #take(stream: Stream, text: string | null): void {
    if (text !== null) this.#emit({ type: 'log', step: this.#step, stream, text })
  }
}

/**
 * Takes bytes cut anywhere, and returns whole lines: several are joined by line ends, without the
 * last line end.
 */
class Lines {
  readonly #decoder = new StringDecoder('utf8')
  #held = ''

  add(bytes: Uint8Array): string | null {
    const text = this.#decoder.write(Buffer.from(bytes))
    // Search only the new text: the held text has no line end, and may arrive one byte at a time.
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
