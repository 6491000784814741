import { setImmediate } from 'node:timers/promises'
import type { Deployment } from '#api/deployment.ts'
import { followPages, type LogStore, type Page, pageAfter } from '../../deployments/follow.ts'

export interface Reader {
  /** The number of the last event that the reader got. */
  seq: number
  /** Takes a page. Returns a promise if the next page must wait for it. */
  take(page: Page): Promise<unknown> | null
  /** Called when the reader has the whole log. */
  end(deployment: Deployment): void
  fail(error: unknown): void
}

/** Readers that get a page in one turn of the event loop. Other work runs between. */
const readersPerTurn = 250
/** Pages to cache for readers that catch up, so that they do not each read the same. */
const keptPages = 8

const broadcasters = new WeakMap<LogStore, Map<string, Broadcaster>>()

/** What sends a log to a reader, until the reader is removed. */
export type Subscription = { remove(reader: Reader): void }

/** Sends a reader the log from its number on. */
export function subscribe(store: LogStore, id: string, reader: Reader): Subscription {
  const all = broadcasters.get(store) ?? new Map<string, Broadcaster>()
  broadcasters.set(store, all)
  const broadcaster = all.get(id) ?? new Broadcaster(store, id, () => all.delete(id))
  all.set(id, broadcaster)
  broadcaster.add(reader)
  return broadcaster
}

/**
 * Follows one log for all its readers, and gives each page to every reader that has caught up. A
 * reader that joins later, or cannot take a page at once, reads on its own until it has caught up.
 * So a slow reader costs only its own memory and delays no other.
 */
class Broadcaster {
  readonly #store: LogStore
  readonly #id: string
  readonly #over: () => void
  readonly #empty = new AbortController()
  readonly #readers = new Set<Reader>()
  /** The readers that have caught up. */
  readonly #ready = new Set<Reader>()
  readonly #pages = new Map<number, Promise<Page>>()
  #begun = false
  /** The number of the last event that all ready readers got. */
  #seq = 0
  #ended: Deployment | null = null

  constructor(store: LogStore, id: string, over: () => void) {
    this.#store = store
    this.#id = id
    this.#over = over
  }

  add(reader: Reader): void {
    this.#readers.add(reader)
    void this.#catchUp(reader, null)
  }

  remove(reader: Reader): void {
    this.#ready.delete(reader)
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return
    this.#empty.abort()
    this.#over()
  }

  async #catchUp(reader: Reader, busy: Promise<unknown> | null): Promise<void> {
    try {
      await busy
      for (;;) {
        const page = await this.#pageAfter(reader.seq)
        if (!this.#readers.has(reader)) return
        if (page.length > 0) await push(reader, page)
        else if (reader.seq >= this.#seq) break // otherwise the others got more meanwhile
      }
    } catch (error) {
      return reader.fail(error)
    }
    if (this.#ended) return reader.end(this.#ended)
    this.#ready.add(reader)
    if (!this.#begun) void this.#follow(reader.seq)
    this.#begun = true
  }

  async #follow(from: number): Promise<void> {
    try {
      const [last] = await this.#store.eventsAfter(this.#id, Math.max(0, from - 1), 1)
      const start = last?.seq === from ? from : 0 // a reader may send a number not reached yet
      for await (const page of followPages(this.#store, this.#id, start, this.#empty.signal))
        await this.#pushAll(page)
      if (this.#empty.signal.aborted) return
      this.#ended = await this.#store.find(this.#id)
      this.#over()
      for (const reader of this.#ready) reader.end(this.#ended!)
    } catch (error) {
      this.#over()
      for (const reader of this.#readers) reader.fail(error)
    }
  }

  async #pushAll(page: Page): Promise<void> {
    this.#seq = page.at(-1)!.seq
    let turn = 0
    for (const reader of this.#ready) {
      if (++turn % readersPerTurn === 0) await setImmediate()
      const busy = this.#readers.has(reader) ? push(reader, page) : null
      if (!busy) continue
      this.#ready.delete(reader)
      void this.#catchUp(reader, busy)
    }
  }

  #pageAfter(seq: number): Promise<Page> {
    const known = this.#pages.get(seq)
    if (known) return known
    const reading = pageAfter(this.#store, this.#id, seq)
    this.#pages.set(seq, reading)
    if (this.#pages.size > keptPages) this.#pages.delete(this.#pages.keys().next().value!)
    const forget = () => void (this.#pages.get(seq) === reading && this.#pages.delete(seq))
    reading.then((page) => page.length === 0 && forget(), forget)
    return reading
  }
}

function push(reader: Reader, page: Page): Promise<unknown> | null {
  const { seq } = reader
  const last = page.at(-1)!.seq
  if (seq >= last) return null
  reader.seq = last
  return reader.take(seq < page[0]!.seq ? page : page.filter((event) => event.seq > seq))
}
