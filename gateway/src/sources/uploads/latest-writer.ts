import type { Problem } from '#api/problem.ts'

type Writer = { stop: AbortController; ended: Promise<void> }

/**
 * One writer at a time. A newcomer stops the one before it and waits for its end: the connection of
 * that one is mostly dead, and its sender has come back on another.
 */
export class LatestWriter {
  #current: Writer | null = null

  get isBusy(): boolean {
    return this.#current !== null
  }

  async run<T>(work: (stopped: AbortSignal) => Promise<T>, why: () => Problem): Promise<T> {
    // The last look and the entry are in one turn: of two newcomers, one finds the other.
    while (this.#current) await stopped(this.#current, why)
    const stop = new AbortController()
    const running = work(stop.signal)
    const leave = () => {
      this.#current = null
    }
    this.#current = { stop, ended: running.then(leave, leave) }
    return running
  }

  /** Ends the writer, if there is one. */
  async stop(why: () => Problem): Promise<void> {
    while (this.#current) await stopped(this.#current, why)
  }
}

function stopped({ stop, ended }: Writer, why: () => Problem): Promise<void> {
  stop.abort(why())
  return ended
}
