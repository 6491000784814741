import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { isAway, statusOf, type MachinesApi } from './machines-api.ts'

const ttlSeconds = 13
const refreshMs = 4000
const waitMs = 60_000
const retryMs = 1500

type Holder = { fly: MachinesApi; app: string; machine: string; description: string }

/**
 * The right to change one machine, kept fresh until it is disposed of. Whoever holds it now is waited for, up to a
 * minute; then `machine-leased` says who. A gateway that dies blocks a machine for 13 seconds at most.
 */
export class MachineLease {
  readonly nonce: string
  /** Aborts when the caller's signal does, or when the lease was lost: then the machine is not ours to touch. */
  readonly signal: AbortSignal
  readonly #holder: Holder
  readonly #lost = new AbortController()
  readonly #timer: NodeJS.Timeout

  static async acquire(holder: Holder, signal: AbortSignal): Promise<MachineLease> {
    const deadline = performance.now() + waitMs
    for (;;) {
      try {
        const { fly, app, machine, description } = holder
        return new MachineLease(holder, await fly.acquireLease(app, machine, ttlSeconds, description, signal), signal)
      } catch (error) {
        // A lost answer may have left a lease behind that is ours and unknown to us: it runs out by itself.
        if (statusOf(error) !== 409 && !isAway(error)) throw error
        if (performance.now() > deadline) throw isAway(error) ? error : leased(holder.machine, error as Problem)
        await delay(retryMs, undefined, { signal })
      }
    }
  }

  private constructor(holder: Holder, nonce: string, signal: AbortSignal) {
    this.#holder = holder
    this.nonce = nonce
    this.signal = AbortSignal.any([signal, this.#lost.signal])
    this.#timer = setInterval(() => void this.#refresh(), refreshMs)
  }

  async #refresh(): Promise<void> {
    const { fly, app, machine } = this.#holder
    try {
      await fly.refreshLease(app, machine, ttlSeconds, this.nonce, this.#lost.signal)
    } catch (error) {
      if (this.#lost.signal.aborted || isAway(error)) return // the next one may come through
      clearInterval(this.#timer)
      this.#lost.abort(
        new Problem('machine-leased', `The lease of machine ${machine} was lost; something else took it over.`, {
          cause: error,
        }),
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    const { fly, app, machine } = this.#holder
    // What cannot be released runs out by itself.
    await fly.releaseLease(app, machine, this.nonce, AbortSignal.timeout(10_000)).catch(() => {})
    this.#lost.abort()
  }
}

function leased(machine: string, cause: Problem): Problem {
  const words = String(cause.facts['fly'])
  const holder = /held by (\S+?),? expires at (\S+)/.exec(words)
  const who = holder ? `${holder[1]} until ${holder[2]}` : 'another program'
  const detail = `Machine ${machine} is held by ${who}: a deploy or another command is at work on it. Try again when it has ended.`
  return new Problem('machine-leased', detail, { cause, facts: { machine, fly: words } })
}
