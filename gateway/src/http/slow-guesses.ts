import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'

/** `forgotten`: wrong tokens of an address that are forgotten each minute. */
const limits = { free: 10, forgotten: 10, addresses: 4096, waiting: 16, allWaiting: 256 }
const stepMs = 500
const longestMs = 5000
const minuteMs = 60_000
const retryAfterSeconds = 10

type Guesses = { count: number; at: number; waiting: number }

/**
 * Slows the refusals of wrong tokens, by address. It never slows a valid token: many callers may
 * share an address, as behind a proxy. Of so many addresses at most it remembers the latest.
 */
export class SlowGuesses {
  readonly #now: () => number
  readonly #wait: (ms: number) => Promise<unknown>
  readonly #byAddress = new Map<string, Guesses>()
  #allWaiting = 0

  constructor(
    now: () => number = Date.now,
    wait: (ms: number) => Promise<unknown> = (ms) => sleep(ms, undefined, { ref: false }),
  ) {
    this.#now = now
    this.#wait = wait
  }

  /** Resolves when a wrong token may be refused. Throws `too-many-tries` if too many wait for that. */
  async delay(address: string): Promise<void> {
    const guesses = this.#note(networkOf(address))
    const waitMs = Math.min(longestMs, (guesses.count - limits.free) * stepMs)
    if (waitMs <= 0) return
    if (guesses.waiting >= limits.waiting || this.#allWaiting >= limits.allWaiting)
      throw new Problem(
        'too-many-tries',
        `Too many requests with a wrong token come from ${address}. Try again in ${retryAfterSeconds} s. A valid token is accepted meanwhile.`,
        { facts: { retryAfterSeconds } },
      )

    guesses.waiting++
    this.#allWaiting++
    try {
      await this.#wait(waitMs)
    } finally {
      guesses.waiting--
      this.#allWaiting--
    }
  }

  /** How many addresses it remembers. */
  get size(): number {
    return this.#byAddress.size
  }

  #note(network: string): Guesses {
    const now = this.#now()
    const guesses = this.#byAddress.get(network) ?? { count: 0, at: now, waiting: 0 }
    const forgotten = ((now - guesses.at) / minuteMs) * limits.forgotten
    guesses.count = Math.max(0, guesses.count - forgotten) + 1
    guesses.at = now

    this.#byAddress.delete(network) // the latest address is the last
    this.#byAddress.set(network, guesses)
    if (this.#byAddress.size > limits.addresses)
      this.#byAddress.delete(this.#byAddress.keys().next().value!)
    return guesses
  }
}

/** One caller of IPv6 has a whole /64. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length
  return [...groups, ...Array.from({ length: Math.max(0, missing) }, () => '0')]
    .slice(0, 4)
    .join(':')
}
