import type { Principal } from '../../callers/principal.ts'

const limits = { perMinute: 20, callers: 4096 }
const minuteMs = 60_000

/**
 * Limits how many calls without the right are recorded of one caller. Without a limit, a caller that may
 * only read could fill the disk with entries, which are kept for a year. `now`: milliseconds since 1970.
 */
export class Refusals {
  readonly #now: () => number
  /** The latest caller is the last. */
  readonly #byCaller = new Map<string, { minute: number; recorded: number; others: number }>()

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /**
   * How many calls of this caller were not recorded since the last one that was. Null: this one is not
   * recorded either.
   */
  note({ name, tokenId }: Pick<Principal, 'name' | 'tokenId'>): number | null {
    const key = tokenId ?? name
    const minute = Math.floor(this.#now() / minuteMs)
    const known = this.#byCaller.get(key)
    const others = known?.others ?? 0
    const recorded = known?.minute === minute ? known.recorded : 0
    const isOver = recorded >= limits.perMinute

    this.#byCaller.delete(key)
    this.#byCaller.set(
      key,
      isOver
        ? { minute, recorded, others: others + 1 }
        : { minute, recorded: recorded + 1, others: 0 },
    )
    if (this.#byCaller.size > limits.callers)
      this.#byCaller.delete(this.#byCaller.keys().next().value!)
    return isOver ? null : others
  }
}
