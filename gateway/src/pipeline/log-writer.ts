import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem.ts'
import { crashPoint } from '../crash-point.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import { Mask } from './mask.ts'

const gatherMs = 100
const gatherBytes = 64 * 1024
const lastLinesKept = 20
const maxLastLineLetters = 1000

/** Gathers what a deployment tells, takes secrets out of it, and appends it in batches: one transaction for many lines. */
export class LogWriter {
  readonly #append: (events: NewEvent[]) => Promise<boolean>
  #mask: Mask
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #last: Promise<unknown> = Promise.resolve()
  /** Of each step, by its id while it runs, by its name when it has failed: its last lines, as readers see them. */
  readonly #lastLines = new Map<string, string[]>()

  /** `secrets` are never written, in no form. */
  constructor(
    store: Pick<DeploymentStore, 'append'>,
    holder: { id: string; epoch: number },
    secrets: Iterable<string | Uint8Array>,
  ) {
    this.#append = (events) => store.append(holder, events)
    this.#mask = new Mask(secrets)
  }

  /** From now on these are taken out; call it before anything could tell them. */
  hide(secrets: Iterable<string | Uint8Array>): void {
    void this.#write(true)
    this.#mask = new Mask(secrets)
  }

  readonly tell = (event: NewEvent): void => {
    this.#mask.take(event)
    this.#waitingBytes += event.type === 'log' ? event.text.length : 100
    if (this.#waitingBytes >= gatherBytes) void this.#write(false)
    else this.#timer ??= setTimeout(() => void this.#write(false), gatherMs)
    if (event.type === 'log') crashPoint('log-waiting')
  }

  /** Resolves when all that was told so far is in the log; never fails: a log that cannot be written must not end the work. */
  flush(): Promise<void> {
    return this.#write(true)
  }

  /** As it may stand in the record. */
  masked<T>(value: T): T {
    return this.#mask.hide(value)
  }

  /** The same for a problem; a failed step's last lines are those of the log, where their context is known. */
  maskedProblem(body: ProblemBody): ProblemBody {
    const shown = this.#mask.hide(body)
    const lastLines = this.#lastLines.get(String(shown['step']))
    return { ...shown, ...(shown['lastLines'] !== undefined && lastLines && { lastLines }) }
  }

  #write(all: boolean): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waitingBytes = 0
    const events = this.#mask.give(all)
    for (const event of events) this.#remember(event)
    if (events.length > 0) this.#last = this.#last.then(() => this.#append(events)).catch(() => false)
    return this.#last.then(() => undefined)
  }

  #remember(event: NewEvent): void {
    if (event.type === 'log' && event.step !== null) {
      const fresh = event.text.split('\n').map((line) => line.slice(0, maxLastLineLetters))
      this.#lastLines.set(event.step, [...(this.#lastLines.get(event.step) ?? []), ...fresh].slice(-lastLinesKept))
    }
    if (event.type !== 'step' || event.status === 'started') return
    const lines = this.#lastLines.get(event.step)
    this.#lastLines.delete(event.step)
    if (event.status === 'failed' && lines) this.#lastLines.set(event.name, lines)
  }
}
