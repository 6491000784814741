import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Divides long synchronous work, so that the event loop serves everyone else between two slices.
 * Several pieces of work may share one slice.
 */
export class TimeSlice {
  readonly #ms: number
  #startedMs = performance.now()
  #next: Promise<void> | null = null

  constructor(ms: number) {
    this.#ms = ms
  }

  /** Whether the work has used up its slice. */
  get isOver(): boolean {
    return performance.now() - this.#startedMs > this.#ms
  }

  /** Call between two pieces of work. Resolves when the slice has time left. */
  async yield(): Promise<void> {
    while (this.isOver) {
      this.#next ??= nextTurn().then(() => {
        this.#startedMs = performance.now()
        this.#next = null
      })
      await this.#next
    }
  }
}
