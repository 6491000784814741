import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { isUnavailable, statusOf } from './fly-calls.ts'
import type { MachinesApi } from './machines-api.ts'

const ttlSeconds = 13
const refreshMs = 4000
const waitMs = 60_000
const retryMs = 1500

type Holder = {
  fly: MachinesApi
  app: string
  machine: string
  description: string
  /** Nonce of a lease that the gateway took before a crash and may still hold. */
  nonce?: string | null
  /** Called once with the holder, if another program holds the lease. */
  held?: (by: string) => void
}

/**
 * The right to change one machine, refreshed until it is disposed of. If another program holds it,
 * the gateway waits up to a minute, then throws `machine-leased`. A gateway that dies blocks a
 * machine for at most 13 seconds, or not at all for a caller with the nonce.
 */
export class MachineLease {
  readonly nonce: string
  /** Aborts when the lease is lost. From then on the gateway must not touch the machine. */
  readonly lost: AbortSignal
  readonly #holder: Holder
  readonly #loss = new AbortController()
  readonly #timer: NodeJS.Timeout

  static async acquire(holder: Holder, signal: AbortSignal): Promise<MachineLease> {
    const deadline = performance.now() + waitMs
    const { fly, app, machine, description, nonce } = holder
    const kept =
      nonce && (await fly.refreshLease(app, machine, ttlSeconds, nonce, signal).catch(() => null))
    signal.throwIfAborted()
    if (kept) return new MachineLease(holder, kept)

    for (let isReported = false; ;) {
      try {
        return new MachineLease(
          holder,
          await fly.acquireLease(app, machine, ttlSeconds, description, signal),
        )
      } catch (error) {
        // After a lost answer we may hold a lease without knowing its nonce. It expires by itself.
        if (statusOf(error) !== 409 && !isUnavailable(error)) throw error
        if (performance.now() > deadline)
          throw isUnavailable(error) ? error : leased(machine, error as Problem)
        if (!isUnavailable(error) && !isReported) holder.held?.(holderIn(error as Problem))
        isReported ||= !isUnavailable(error)
        await delay(retryMs, undefined, { signal })
      }
    }
  }

  private constructor(holder: Holder, nonce: string) {
    this.#holder = holder
    this.nonce = nonce
    this.lost = this.#loss.signal
    this.#timer = setInterval(() => void this.#refresh(), refreshMs)
  }

  async #refresh(): Promise<void> {
    const { fly, app, machine } = this.#holder
    try {
      await fly.refreshLease(app, machine, ttlSeconds, this.nonce, this.lost)
    } catch (error) {
      if (this.lost.aborted || isUnavailable(error)) return // the next refresh may succeed
      clearInterval(this.#timer)
      this.#loss.abort(
        new Problem(
          'machine-leased',
          `The lease of machine ${machine} was lost; something else took it over.`,
          {
            cause: error,
          },
        ),
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    const { fly, app, machine } = this.#holder
    // A lease that cannot be released expires by itself.
    await fly.releaseLease(app, machine, this.nonce, AbortSignal.timeout(10_000)).catch(() => {})
    this.#loss.abort()
  }
}

function leased(machine: string, cause: Problem): Problem {
  const detail = `Machine ${machine} is held by ${holderIn(cause)}: a deploy or another command is at work on it. Try again when it has ended.`
  return new Problem('machine-leased', detail, {
    cause,
    facts: { machine, fly: cause.facts['fly'] },
  })
}

function holderIn({ facts }: Problem): string {
  const holder = /held by (\S+?),? expires at (\S+)/.exec(String(facts['fly']))
  return holder ? `${holder[1]} until ${holder[2]}` : 'another program'
}
