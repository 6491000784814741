/** How long what is wrong may last: a time, and so many looks of the judge. */
export type Patience = { ms: number; looks: number }

/**
 * Knows what lasts too long. On a busy machine localfly and the gateways get few turns: then a time
 * alone says nothing of the gateways. Each look needs answers of all of them, so looks count turns.
 */
export class Overdue {
  readonly #patience: Patience
  /** By what lasts and since when: the number of the look that saw it first. */
  readonly #seen = new Map<string, number>()

  constructor(patience: Patience) {
    this.#patience = patience
  }

  /** `since`: by `Date.now()`. `look`: the number of this look. */
  isLate(what: string, since: number, look: number): boolean {
    const ms = Date.now() - since
    if (ms <= 0) return false
    const key = `${what} ${since}`
    const first = this.#seen.get(key) ?? look
    this.#seen.set(key, first)
    return ms > this.#patience.ms && look - first >= this.#patience.looks
  }
}
