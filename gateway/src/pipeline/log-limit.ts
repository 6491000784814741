import type { NewEvent } from '#api/event.ts'

/**
 * How many bytes of output a log keeps: `stepBytes` from the start of each step, `allBytes` for all
 * steps together, and `tailBytes` from the end of a step with more output.
 */
export type LogLimits = { stepBytes: number; allBytes: number; tailBytes: number }
type LogEvent = NewEvent & { type: 'log' }
/** Approximate size of an event that says how much is missing. */
const gapBytes = 100

/**
 * Keeps a log within its limits. Holds output beyond them in a tail, and drops the oldest lines
 * when the tail is full. Returns the tail from `flush` and at the step's end, after a `dropped`
 * event that says how much is missing. Passes on all other events. A `dropped` event from outside
 * counts as output, with `gapBytes`. The limits begin again only when the step starts again, not at
 * its end: output may follow.
 */
export class LogLimit {
  readonly #limits: LogLimits
  readonly #steps = new Map<string | null, Tail>()
  #allBytes = 0

  constructor(limits: LogLimits) {
    this.#limits = limits
  }

  /** Takes an event and returns the events to write now. */
  push(event: NewEvent): NewEvent[] {
    if (event.type === 'step') {
      const tail = this.#steps.get(event.step)?.flush() ?? []
      if (event.status === 'started') this.#steps.delete(event.step)
      return [...tail, event]
    }

    if (event.type !== 'log' && event.type !== 'dropped') return [event]
    const tail = this.#steps.get(event.step) ?? new Tail(event.step, this.#limits.tailBytes)
    this.#steps.set(event.step, tail)

    const sizeBytes = event.type === 'log' ? Buffer.byteLength(event.text) + 1 : gapBytes
    const fits =
      tail.keptBytes + sizeBytes <= this.#limits.stepBytes &&
      this.#allBytes + sizeBytes <= this.#limits.allBytes
    if (!fits || tail.begun) return event.type === 'log' ? tail.hold(event) : tail.skip(event)

    tail.keptBytes += sizeBytes
    this.#allBytes += sizeBytes
    return [event]
  }

  /** Whether a tail holds lines. */
  get holds(): boolean {
    return [...this.#steps.values()].some(({ holds }) => holds)
  }

  /** Returns and empties all tails, step by step. */
  flush(): NewEvent[] {
    return [...this.#steps.values()].flatMap((tail) => tail.flush())
  }
}

/** The end of one step's output. */
class Tail {
  keptBytes = 0
  /** Whether the step's output has exceeded a limit. */
  begun = false
  readonly #step: string | null
  readonly #limitBytes: number
  #held: LogEvent[] = []
  /** Dropped lines at the start of `#held`. They are removed when more than half are dropped. */
  #gone = 0
  #heldBytes = 0
  #dropped = { lines: 0, bytes: 0 }

  constructor(step: string | null, limitBytes: number) {
    this.#step = step
    this.#limitBytes = limitBytes
  }

  get holds(): boolean {
    return this.#held.length > 0
  }

  hold(event: LogEvent): [] {
    this.begun = true
    for (const text of event.text.split('\n')) {
      this.#held.push({ ...event, text })
      this.#heldBytes += Buffer.byteLength(text) + 1
    }

    for (; this.#heldBytes > this.#limitBytes && this.#gone < this.#held.length - 1; this.#gone++) {
      const sizeBytes = Buffer.byteLength(this.#held[this.#gone]!.text) + 1
      this.#heldBytes -= sizeBytes
      this.#dropped.bytes += sizeBytes
      this.#dropped.lines++
    }

    if (this.#gone * 2 > this.#held.length) {
      this.#held.splice(0, this.#gone)
      this.#gone = 0
    }
    return []
  }

  /** Adds output that is already missing, and drops the lines before it: the tail is the end. */
  skip(missing: { lines: number; bytes: number }): [] {
    this.begun = true
    this.#dropped.lines += missing.lines + this.#held.length - this.#gone
    this.#dropped.bytes += missing.bytes + this.#heldBytes
    this.#held = []
    this.#gone = 0
    this.#heldBytes = 0
    return []
  }

  /** Returns and empties the tail. Consecutive lines of one stream become one event. */
  flush(): NewEvent[] {
    const events: NewEvent[] =
      this.#dropped.lines > 0 ? [{ type: 'dropped', step: this.#step, ...this.#dropped }] : []
    const lines: LogEvent[] = []
    for (const { text, ...about } of this.#held.slice(this.#gone)) {
      const last = lines.at(-1)
      if (last?.stream === about.stream) last.text += `\n${text}`
      else lines.push({ ...about, text })
    }
    this.#held = []
    this.#gone = 0
    this.#heldBytes = 0
    this.#dropped = { lines: 0, bytes: 0 }
    return [...events, ...lines]
  }
}
