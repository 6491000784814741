import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { Redactor } from '../secrets/redaction/redactor.ts'
import { LogLimit, type LogLimits } from './log-limit.ts'

const gatherMs = 100
const gatherBytes = 64 * 1024
const lastLinesKept = 50
const maxLastLineLetters = 1000
/** How often a step beyond its limits writes its tail, to show that it is alive. */
const showTailsMs = 20_000
const gap: NewEvent = {
  type: 'gap',
  text: 'Some log lines are missing here because they could not be saved.',
}
const noLimits: LogLimits = { stepBytes: Infinity, allBytes: Infinity, tailBytes: 0 }

/**
 * Collects a deployment's events, redacts secrets, and appends the events in batches: one
 * transaction for many lines.
 */
export class LogWriter {
  readonly #append: (events: NewEvent[]) => Promise<unknown>
  readonly #failed: (error: unknown) => void
  /** Events whose write failed. The next batch retries them; if it fails, `gap` replaces both. */
  #unwritten: NewEvent[] = []
  #redactor: Redactor
  #waitingBytes = 0
  readonly #limit: LogLimit
  #timer: NodeJS.Timeout | undefined
  #tailTimer: NodeJS.Timeout | undefined
  #last = Promise.resolve()
  /** The last lines of each step, redacted. Key: the step's id. */
  readonly #lastLines = new Map<string, string[]>()
  /** The id of the last step of each name that started, or else failed. */
  readonly #steps = new Map<string, string>()

  /** Never writes `secrets`, in any encoding. Calls `failed` when writes start to fail. */
  constructor(
    append: (events: NewEvent[]) => Promise<unknown>,
    secrets: Iterable<string | Uint8Array>,
    more: { limits?: LogLimits | undefined; failed?: ((error: unknown) => void) | undefined } = {},
  ) {
    this.#limit = new LogLimit(more.limits ?? noLimits)
    this.#append = append
    this.#failed = more.failed ?? (() => {})
    this.#redactor = new Redactor(secrets)
  }

  /** Redacts these secrets from now on. Call it before an event may hold one. */
  addSecrets(secrets: Iterable<string | Uint8Array>): void {
    void this.#write({ all: true, tails: true })
    this.#redactor = new Redactor(secrets)
  }

  readonly emit = (event: NewEvent): void => {
    this.#redactor.push(event)
    this.#waitingBytes += event.type === 'log' ? event.text.length : 100
    if (this.#waitingBytes >= gatherBytes) void this.#write({})
    else this.#timer ??= setTimeout(() => void this.#write({}), gatherMs)
    if (event.type === 'log') crashPoint('log-waiting')
  }

  /**
   * Resolves when all events so far are in the log, or after two retries. Never rejects: a log that
   * cannot be written must not end the deployment.
   */
  async flush(): Promise<void> {
    await this.#write({ all: true, tails: true })
    for (let tries = 0; this.#unwritten.length > 0 && tries < 2; tries++) await this.#write({})
  }

  /** A copy without secrets, for the record. */
  redacted<T>(value: T): T {
    return this.#redactor.redact(value)
  }

  /** A problem without secrets, with the last lines of the step that failed. */
  redactedProblem(body: ProblemBody): ProblemBody {
    const shown = this.#redactor.redact(body)
    const lastLines = this.#lastLines.get(this.#steps.get(String(shown['step'])) ?? '')
    return { ...shown, ...(lastLines && { lastLines }) }
  }

  /** `all`: also text that may begin a secret. `tails`: also the tails of steps beyond limits. */
  #write({ all = false, tails = false }): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waitingBytes = 0
    const emitted = this.#redactor.flush(all)
    for (const event of emitted) this.#remember(event)
    const events = emitted.flatMap((event) => this.#limit.push(event))

    if (tails) for (const event of this.#limit.flush()) events.push(event)
    if (this.#limit.holds)
      this.#tailTimer ??= setTimeout(() => void this.#write({ tails: true }), showTailsMs)
    else {
      clearTimeout(this.#tailTimer)
      this.#tailTimer = undefined
    }

    return (this.#last = this.#last.then(() => this.#store(events)))
  }

  async #store(fresh: NewEvent[]): Promise<void> {
    const before = this.#unwritten
    const events = [...before, ...fresh]
    try {
      if (events.length > 0) await this.#append(events)
      this.#unwritten = []
    } catch (error) {
      this.#unwritten = before.length > 0 ? [gap] : events
      if (before.length === 0) this.#failed(error)
    }
  }

  #remember(event: NewEvent): void {
    if (event.type === 'log' && event.step !== null) {
      const fresh = event.text.split('\n').map((line) => line.slice(0, maxLastLineLetters))
      this.#lastLines.set(
        event.step,
        [...(this.#lastLines.get(event.step) ?? []), ...fresh].slice(-lastLinesKept),
      )
    }

    if (event.type !== 'step') return
    if (event.status === 'started' || event.status === 'failed')
      this.#steps.set(event.name, event.step)
    if (event.status !== 'failed') this.#lastLines.delete(event.step)
  }
}
