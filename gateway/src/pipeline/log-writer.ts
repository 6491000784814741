import type { NewEvent } from '#api/event.ts'
import type { DeploymentStore } from '../deployments/store.ts'

const gatherMs = 100
const gatherBytes = 64 * 1024

/** Gathers what a deployment tells and appends it in batches: one transaction for many lines. */
export class LogWriter {
  readonly #append: (events: NewEvent[]) => Promise<boolean>
  #waiting: NewEvent[] = []
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(store: Pick<DeploymentStore, 'append'>, holder: { id: string; epoch: number }) {
    this.#append = (events) => store.append(holder, events)
  }

  readonly tell = (event: NewEvent): void => {
    this.#waiting.push(event)
    this.#waitingBytes += event.type === 'log' ? event.text.length : 100
    if (this.#waitingBytes >= gatherBytes) void this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), gatherMs)
  }

  /** Resolves when all that was told so far is in the log; never fails: a log that cannot be written must not end the work. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const events = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (events.length > 0) this.#last = this.#last.then(() => this.#append(events)).catch(() => false)
    return this.#last.then(() => undefined)
  }
}
