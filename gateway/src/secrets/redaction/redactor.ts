import type { NewEvent } from '#api/event.ts'
import { AhoCorasick } from './aho-corasick.ts'
import { RedactedStream } from './redacted-stream.ts'
import { secretEncodings } from './secret-encodings.ts'

/** Fields that hold the gateway's own words. A secret may happen to be one of them. */
const ownWords = new Set([
  'type',
  'code',
  'title',
  'status',
  'fault',
  'state',
  'from',
  'stream',
  'builder',
])

/**
 * Removes secrets from a deployment's events before anybody can read them. It finds known values in
 * all the forms of `secret-encodings.ts`, and texts that look like a token. The output of a step is
 * one stream, so that no secret slips through between two events or two lines.
 */
export class Redactor {
  readonly #secrets: AhoCorasick
  readonly #streams = new Map<string, RedactedStream>()
  #queue: Entry[] = []

  constructor(values: Iterable<string | Uint8Array>) {
    this.#secrets = new AhoCorasick(secretEncodings(values))
  }

  push(event: NewEvent): void {
    if (event.type !== 'log') {
      if (event.type === 'step' && event.status !== 'started') this.#end(event.step)
      this.#queue.push({ event: this.redact(event), from: 0, to: 0 })
      return
    }
    const name = `${event.stream} ${event.step}`
    const stream = this.#streams.get(name) ?? new RedactedStream(this.#secrets)
    this.#streams.set(name, stream)
    const from = stream.letters
    stream.add(event.text)
    this.#queue.push({ event, stream, from, to: stream.letters })
  }

  /**
   * Returns the events so far, in order, without those that may still begin a secret. With `all`,
   * it returns those, too.
   */
  flush(all: boolean): NewEvent[] {
    const entries: Entry[] = []
    const held: Entry[] = []

    for (const entry of this.#queue) {
      const { event, stream, to } = entry
      const undecided = stream !== undefined && stream.safe < to
      // A `dropped` event stays in its place within a step's output.
      const waits =
        event.type === 'dropped' &&
        held.some((other) => 'step' in other.event && other.event.step === event.step)
      if (!all && (undecided || waits)) held.push(entry)
      else entries.push(entry)
    }

    this.#queue = held
    return entries.map(({ event, stream, from, to }) => {
      if (event.type !== 'log' || !stream) return event
      const text = stream.redacted(event.text, from)
      stream.forget(to)
      return text === event.text ? event : { ...event, text }
    })
  }

  /** Redacts a value of any type. The texts in a list are read as consecutive lines. */
  redact<T>(value: T): T {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only its texts change
    return this.#redacted(value) as T
  }

  #redacted(value: unknown): unknown {
    if (typeof value === 'string') return this.#lines([value])[0]
    if (Array.isArray(value))
      return value.every((item) => typeof item === 'string')
        ? this.#lines(value)
        : value.map((item: unknown) => this.#redacted(item))

    if (typeof value !== 'object' || value === null) return value
    const fields = Object.entries(value).map(([name, field]) => [
      name,
      ownWords.has(name) ? field : this.#redacted(field),
    ])
    return Object.fromEntries(fields)
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

/** `from` and `to` are letter numbers in the stream of a log event. */
type Entry = { event: NewEvent; stream?: RedactedStream; from: number; to: number }
