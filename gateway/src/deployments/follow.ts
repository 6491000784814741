import { isFinal } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from './store.ts'

type Reads = Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed'>
/** Events that follow each other, as they were read: the very same object for all readers who stand at the same place. */
export type Page = readonly DeploymentEvent[]

/** What is read of a log at once. */
export const pageLimit = { events: 500, bytes: 64 * 1024 }
/** Pages that are kept of a log while somebody follows it: enough for who reads along. */
const keptPages = 8
/** Readers who are told of news in one turn; others of the gateway's work gets its turn between. */
const wokenAtOnce = 250

/** A deployment's log from `after` on: what is already written, then what is written next, then the end. */
export async function* follow(store: Reads, id: string, after: number, signal: AbortSignal) {
  for await (const page of followPages(store, id, after, signal)) yield* page
}

/** The same, page by page: read once, however many follow it. Pages are shared; a reader holds the one it is at. */
export async function* followPages(
  store: Reads,
  id: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Page, void> {
  using log = join(store, id)
  let seq = after
  let wake = () => {}
  signal.addEventListener('abort', () => wake(), { once: true })
  while (!signal.aborted) {
    const { page, ended } = await log.read(seq)
    if (page.length > 0) {
      yield page
      seq = page.at(-1)!.seq
    } else if (ended) return
    else if (!signal.aborted) await new Promise<void>((resolve) => log.whenChanged(seq, (wake = resolve)))
  }
  log.forget(seq, wake)
}

const followed = new WeakMap<Reads, Map<string, SharedLog>>()

function join(store: Reads, id: string): SharedLog {
  const logs = followed.get(store) ?? new Map<string, SharedLog>()
  followed.set(store, logs)
  const log = logs.get(id) ?? new SharedLog(store, id, () => logs.delete(id))
  logs.set(id, log)
  log.readers++
  return log
}

/** What the followers of one log read of it, and wait for, together. */
class SharedLog {
  readers = 0
  readonly #store: Reads
  readonly #id: string
  readonly #leave: () => void
  readonly #left = new AbortController()
  /** Both by the number that what is read, or waited for, comes after. */
  readonly #reads = new Map<number, Promise<{ page: Page; ended: boolean }>>()
  readonly #waiting = new Map<number, Set<() => void>>()

  constructor(store: Reads, id: string, leave: () => void) {
    this.#store = store
    this.#id = id
    this.#leave = leave
  }

  read(after: number): Promise<{ page: Page; ended: boolean }> {
    const known = this.#reads.get(after)
    if (known) return known
    const reading = this.#read(after)
    this.#reads.set(after, reading)
    reading.catch(() => this.#reads.delete(after))
    if (this.#reads.size > keptPages) this.#reads.delete(this.#reads.keys().next().value!)
    return reading
  }

  /** Calls when there may be more after a number after which nothing was found. */
  whenChanged(after: number, wake: () => void): void {
    const waiting = this.#waiting.get(after) ?? new Set()
    if (!this.#waiting.has(after)) void this.#watch(after, waiting)
    waiting.add(wake)
  }

  forget(after: number, wake: () => void): void {
    this.#waiting.get(after)?.delete(wake)
  }

  [Symbol.dispose](): void {
    if (--this.readers > 0) return
    this.#left.abort()
    this.#leave()
  }

  async #read(after: number): Promise<{ page: Page; ended: boolean }> {
    const deployment = await this.#store.find(this.#id)
    if (!deployment) throw new Problem('deployment-not-found', `There is no deployment ${this.#id}.`)
    // Read after asking for the state: if that was final, the last event is already in the page.
    const page = await this.#store.eventsAfter(this.#id, after, pageLimit.events, pageLimit.bytes)
    return { page, ended: isFinal(deployment.state) }
  }

  async #watch(after: number, waiting: Set<() => void>): Promise<void> {
    this.#waiting.set(after, waiting)
    await this.#store.changed(this.#id, after, this.#left.signal).catch(() => {}) // the next read says what is wrong
    this.#waiting.delete(after)
    this.#reads.delete(after)
    wakeSome([...waiting])
  }
}

function wakeSome(waiting: (() => void)[]): void {
  for (const wake of waiting.splice(0, wokenAtOnce)) wake()
  if (waiting.length > 0) setImmediate(wakeSome, waiting)
}
