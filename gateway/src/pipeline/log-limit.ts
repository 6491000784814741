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

    const sizeBytes = event.type === 'log' ? sizeOf(event) : gapBytes
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

type Line = LogEvent & { at: number }

/**
 * The end of one step's output. When it is full, it drops the oldest line of the stream that holds
 * more, so that a flood on one stream does not push out the reason on the other.
 */
class Tail {
  keptBytes = 0
  /** Whether the step's output has exceeded a limit. */
  begun = false
  readonly #step: string | null
  readonly #limitBytes: number
  readonly #held = { stdout: new Lines(), stderr: new Lines() }
  #lines = 0
  #dropped = { lines: 0, bytes: 0 }

  constructor(step: string | null, limitBytes: number) {
    this.#step = step
    this.#limitBytes = limitBytes
  }

  get holds(): boolean {
    return this.#count > 0
  }

  get #count(): number {
    return this.#held.stdout.count + this.#held.stderr.count
  }

  get #bytes(): number {
    return this.#held.stdout.bytes + this.#held.stderr.bytes
  }

  hold(event: LogEvent): [] {
    this.begun = true
    const { stdout, stderr } = this.#held
    for (const text of event.text.split('\n'))
      this.#held[event.stream].push({ ...event, text, at: this.#lines++ })

    while (this.#bytes > this.#limitBytes && this.#count > 1) {
      const sizeBytes = (stdout.bytes > stderr.bytes ? stdout : stderr).drop()
      this.#dropped.bytes += sizeBytes
      this.#dropped.lines++
    }
    return []
  }

  /** Adds output that is already missing, and drops the lines before it: the tail is the end. */
  skip(missing: { lines: number; bytes: number }): [] {
    this.begun = true
    this.#dropped.lines += missing.lines + this.#count
    this.#dropped.bytes += missing.bytes + this.#bytes
    this.#take()
    return []
  }

  /** Returns and empties the tail. Consecutive lines of one stream become one event. */
  flush(): NewEvent[] {
    const events: NewEvent[] =
      this.#dropped.lines > 0 ? [{ type: 'dropped', step: this.#step, ...this.#dropped }] : []
    const lines: LogEvent[] = []
    for (const { at: _, text, ...about } of this.#take()) {
      const last = lines.at(-1)
      if (last?.stream === about.stream) last.text += `\n${text}`
      else lines.push({ ...about, text })
    }
    this.#dropped = { lines: 0, bytes: 0 }
    return [...events, ...lines]
  }

  #take(): Line[] {
    const { stdout, stderr } = this.#held
    return [...stdout.take(), ...stderr.take()].toSorted((a, b) => a.at - b.at)
  }
}

/** The last lines of one stream. */
class Lines {
  bytes = 0
  #lines: Line[] = []
  /** Dropped lines at the start of `#lines`. They are removed when more than half are dropped. */
  #gone = 0

  get count(): number {
    return this.#lines.length - this.#gone
  }

  push(line: Line): void {
    this.#lines.push(line)
    this.bytes += sizeOf(line)
  }

  /** Drops the oldest line, and returns its size in bytes. */
  drop(): number {
    const sizeBytes = sizeOf(this.#lines[this.#gone++]!)
    this.bytes -= sizeBytes
    if (this.#gone * 2 > this.#lines.length) {
      this.#lines.splice(0, this.#gone)
      this.#gone = 0
    }
    return sizeBytes
  }

  take(): Line[] {
    const lines = this.#lines.slice(this.#gone)
    this.#lines = []
    this.#gone = 0
    this.bytes = 0
    return lines
  }
}

const sizeOf = ({ text }: LogEvent) => Buffer.byteLength(text) + 1
