/** A pause that doubles each time, up to the longest. After a quiet time it starts with the first one again. */
export class GrowingPause {
  readonly #limits: { first: number; longest: number }
  #after = Number.NEGATIVE_INFINITY
  #pauseMs: number

  constructor(limits: { first: number; longest: number }) {
    this.#limits = limits
    this.#pauseMs = limits.first
  }

  get isOver(): boolean {
    return performance.now() >= this.#after
  }

  begin(): void {
    const { first, longest } = this.#limits
    const now = performance.now()
    const isQuiet = now - this.#after > longest
    this.#pauseMs = isQuiet ? first : Math.min(this.#pauseMs * 2, longest)
    this.#after = now + this.#pauseMs
  }
}
