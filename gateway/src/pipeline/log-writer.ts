import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem.ts'
import { crashPoint } from '../crash-point.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { LogLimit, type LogLimits } from './log-limit.ts'
import { Redactor } from '../secrets/redaction/redactor.ts'

const gatherMs = 100
const gatherBytes = 64 * 1024
const lastLinesKept = 20
const maxLastLineLetters = 1000
/** How often a step that has said too much shows that it is alive. */
const showTailsMs = 20_000
const gap: NewEvent = {
  type: 'gap',
  text: 'What was told here could not be written and is missing.',
}
const noLimits: LogLimits = { stepBytes: Infinity, allBytes: Infinity, tailBytes: 0 }

/** Gathers what a deployment tells, takes secrets out of it, and appends it in batches: one transaction for many lines. */
export class LogWriter {
  readonly #append: (events: NewEvent[]) => Promise<boolean>
  readonly #failed: (error: unknown) => void
  /** What could not be written goes with what comes next; if that fails too, a gap stands for both. */
  #unwritten: NewEvent[] = []
  #redactor: Redactor
  #waitingBytes = 0
  readonly #limit: LogLimit
  #timer: NodeJS.Timeout | undefined
  #tailTimer: NodeJS.Timeout | undefined
  #last = Promise.resolve()
  /** Of each step, by its id while it runs, by its name when it has failed: its last lines, as readers see them. */
  readonly #lastLines = new Map<string, string[]>()

  /** `secrets` are never written, in no form. `failed` is told when the log can no longer be written. */
  constructor(
    store: Pick<DeploymentStore, 'append'>,
    holder: { id: string; epoch: number },
    secrets: Iterable<string | Uint8Array>,
    limits = noLimits,
    failed: (error: unknown) => void = () => {},
  ) {
    this.#limit = new LogLimit(limits)
    this.#append = (events) => store.append(holder, events)
    this.#failed = failed
    this.#redactor = new Redactor(secrets)
  }

  /** From now on these are taken out; call it before anything could tell them. */
  hide(secrets: Iterable<string | Uint8Array>): void {
    void this.#write({ all: true, tails: true })
    this.#redactor = new Redactor(secrets)
  }

  readonly emit = (event: NewEvent): void => {
    this.#redactor.take(event)
    this.#waitingBytes += event.type === 'log' ? event.text.length : 100
    if (this.#waitingBytes >= gatherBytes) void this.#write({})
    else this.#timer ??= setTimeout(() => void this.#write({}), gatherMs)
    if (event.type === 'log') crashPoint('log-waiting')
  }

  /** Resolves when all that was told so far is in the log; never fails: a log that cannot be written must not end the work. */
  async flush(): Promise<void> {
    await this.#write({ all: true, tails: true })
    for (let tries = 0; this.#unwritten.length > 0 && tries < 2; tries++) await this.#write({})
  }

  /** As it may stand in the record. */
  redacted<T>(value: T): T {
    return this.#redactor.hide(value)
  }

  /** The same for a problem, with the last lines of the step that failed. */
  redactedProblem(body: ProblemBody): ProblemBody {
    const shown = this.#redactor.hide(body)
    const lastLines = this.#lastLines.get(String(shown['step']))
    return { ...shown, ...(lastLines && { lastLines }) }
  }

  /** `all`: also what may yet turn out to begin a secret. `tails`: also what waits because it is beyond the limits. */
  #write({ all = false, tails = false }): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waitingBytes = 0
    const emitted = this.#redactor.give(all)
    for (const event of emitted) this.#remember(event)
    const events = emitted.flatMap((event) => this.#limit.take(event))
    if (tails) for (const event of this.#limit.give()) events.push(event)
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
    if (event.type !== 'step' || event.status === 'started') return
    const lines = this.#lastLines.get(event.step)
    this.#lastLines.delete(event.step)
    if (event.status === 'failed' && lines) this.#lastLines.set(event.name, lines)
  }
}
