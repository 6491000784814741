import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import type { ProblemCode } from '#api/problem/codes.ts'
import { reasonOf } from '../answers.ts'

/** How long nothing may arrive. Time of a closed laptop does not count. */
const giveUpMs = 15 * 60_000
const backOffMs = { first: 300, most: 15_000 }
/** A longer pause than this is not for a person who waits. */
const maxPauseSeconds = 120
/** One attempt takes no longer: see `send-body.ts`. */
const maxLookMs = 180_000
/** How often a pause is said, at most. */
const sayMs = 10_000

/** Refusals that are about how the bytes came, or about a gateway that is being replaced. */
const passing = new Set<ProblemCode>([
  'stopping',
  'body-truncated',
  'body-too-slow',
  'upload-stalled',
  'digest-mismatch',
  'upload-checksum-mismatch',
])

/**
 * Waits between attempts of one command to send something: longer each time, until something
 * arrives again. Gives up after 15 minutes in which nothing arrived, and at once if the gateway was
 * never reached: then its address is wrong.
 */
export class Patience {
  readonly #say: (text: string) => void
  readonly #signal: AbortSignal
  #wasReached = false
  #failures = 0
  /** For how long nothing has arrived. */
  #silentMs = 0
  #lookedMs = performance.now()
  #saidMs = -Infinity

  constructor(say: (text: string) => void, signal: AbortSignal) {
    this.#say = say
    this.#signal = signal
  }

  /** The gateway's address is right: something listens there. */
  reached(): void {
    this.#wasReached = true
  }

  /** Something has arrived. */
  heard(): void {
    this.reached()
    this.#failures = 0
    this.#silentMs = 0
    this.#lookedMs = performance.now()
  }

  /** Calls `action` until it succeeds. Throws the error of its last attempt. */
  async until<T>(action: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        const result = await action()
        this.heard()
        return result
      } catch (error) {
        await this.pause(error)
      }
  }

  /** Waits before another attempt. Throws the error if none makes sense. */
  async pause(error: unknown): Promise<void> {
    if (this.#signal.aborted || !(error instanceof Problem) || !isPassing(error)) throw error
    if (!isLost(error)) this.reached()
    // The clocks of some systems go on while a laptop is closed.
    this.#silentMs += Math.min(performance.now() - this.#lookedMs, maxLookMs)
    this.#lookedMs = performance.now()
    if (!this.#wasReached || this.#silentMs > giveUpMs) throw error

    const pauseMs = this.#pauseMs(error)
    if (performance.now() - this.#saidMs > sayMs) {
      this.#saidMs = performance.now()
      const what = isLost(error)
        ? `The connection to the gateway broke: ${reasonOf(error.cause)}.`
        : error.message
      this.#say(`${what} Trying again.`)
    }
    await sleep(pauseMs, undefined, { signal: this.#signal })
  }

  #pauseMs({ facts }: Problem): number {
    const wanted = Number(facts['retryAfterSeconds'] ?? 0) * 1000
    const backOff = Math.min(backOffMs.most, backOffMs.first * 2 ** this.#failures++)
    return Math.max(wanted, backOff / 2) + (Math.random() * backOff) / 2
  }
}

/** Whether the same request may succeed soon. */
export function isPassing(problem: Problem): boolean {
  const { facts, code, status } = problem
  if (isLost(problem) || passing.has(code)) return true
  const pauseSeconds = Number(facts['retryAfterSeconds'])
  return (status === 429 || status >= 500) && pauseSeconds <= maxPauseSeconds
}

/** Whether no answer came: the connection failed or broke. */
export const isLost = ({ code, cause }: Problem): boolean =>
  code === 'not-ready' && cause !== undefined
