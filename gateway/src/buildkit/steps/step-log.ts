import { StringDecoder } from 'node:string_decoder'
import type { EventSink } from '../../deployments/event-sink.ts'

type Stream = 'stdout' | 'stderr'

const maxLineChars = 16_384
/** The note that `runc-with-output-limit` writes in place of dropped output. */
const leftOut = /^: (\d{1,15}) lines, (\d{1,15}) bytes of output are not kept here\](?:\n|$)/

/** The output of one step: takes bytes cut anywhere, and emits whole lines. */
export class StepLog {
  readonly #step: string
  readonly #emit: EventSink
  readonly #lines = { stdout: new Lines(), stderr: new Lines() }
  /** The beginning of a trusted note. The step cannot write it. Null: no note is trusted. */
  #signed: string | null = null

  constructor(step: string, emit: EventSink) {
    this.#step = step
    this.#emit = emit
  }

  /** Trusts one note with this key, which the step does not know. */
  believe(key: string | null): void {
    this.#signed = key && `[tarmac ${key}`
  }

  add(stream: Stream, bytes: Uint8Array): void {
    this.#take(stream, this.#lines[stream].add(bytes))
  }

  /** Emits the held text. More may still come. */
  flush(): void {
    for (const stream of ['stdout', 'stderr'] as const)
      this.#take(stream, this.#lines[stream].rest())
  }

  #take(stream: Stream, text: string | null): void {
    if (text === null) return
    const signed = this.#signed ?? ''
    const at = signed === '' ? -1 : text.indexOf(signed)
    const gap = at < 0 ? null : leftOut.exec(text.slice(at + signed.length))
    if (!gap) return this.#emit({ type: 'log', step: this.#step, stream, text })
    this.#signed = null
    if (at > 1) this.#take(stream, text.slice(0, at).replace(/\n$/, ''))
    this.#emit({ type: 'dropped', step: this.#step, lines: Number(gap[1]), bytes: Number(gap[2]) })
    const rest = text.slice(at + signed.length + gap[0].length)
    if (rest !== '' || gap[0].endsWith('\n')) this.#take(stream, rest)
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
