import { Problem } from '#api/problem.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { retry } from '#api/flow/retry.ts'
import { Lease, machineAnswer } from './answers.ts'
import { createMs, isUnavailable, orNull, statusOf, type FlyCalls } from './fly-calls.ts'
import { MachineChanges } from './machine-changes.ts'
import type { Machine, MachineConfig, MachineRef } from './machine.ts'

const ttlSeconds = 13
const refreshMs = 4000
const waitMs = 60_000
const retryMs = 1500

export type LeaseRequest = {
  description: string
  /** Nonce of a lease that the gateway took before a crash and may still hold. */
  nonce?: string | null
  /** Called once with the holder, if another program holds the lease. */
  onHeld?: (holder: string) => void
}
type MachineUpdate = {
  config: MachineConfig
  current_version: string
  skip_launch?: boolean
  min_secrets_version?: number
}

/**
 * The right to change one machine, refreshed until it is disposed of. If another program holds it,
 * the gateway waits up to a minute, then throws `machine-leased`. A gateway that dies blocks a
 * machine for at most 13 seconds, or not at all for a caller with the nonce.
 */
export class MachineLease extends MachineChanges {
  readonly nonce: string
  /** Aborts when the lease is lost. From then on the gateway must not touch the machine. */
  readonly lost: AbortSignal
  readonly #loss = new AbortController()
  readonly #timer: NodeJS.Timeout

  static async acquire(
    calls: FlyCalls,
    machine: MachineRef,
    { description, nonce, onHeld }: LeaseRequest,
    signal: AbortSignal,
  ): Promise<MachineLease> {
    const refreshed = nonce && (await refreshLease(calls, machine, nonce, signal).catch(() => null))
    signal.throwIfAborted()
    if (refreshed) return new MachineLease(calls, machine, refreshed)

    let isReported = false
    const policy = {
      // After a lost answer we may hold a lease without knowing its nonce. It expires by itself.
      isRetryable: (error: unknown) => statusOf(error) === 409 || isUnavailable(error),
      pauseMs: () => retryMs,
      forMs: waitMs,
      onRetry: (error: unknown) => {
        if (!isHeld(error) || isReported) return
        isReported = true
        onHeld?.(holderIn(error))
      },
    }
    const acquired = retry(() => takeLease(calls, machine, description, signal), policy, signal)
    const fresh = await acquired.catch((error: unknown) => {
      throw isHeld(error) ? leased(machine, error) : error
    })
    return new MachineLease(calls, machine, fresh)
  }

  private constructor(calls: FlyCalls, machine: MachineRef, nonce: string) {
    super(calls, machine, nonce)
    this.nonce = nonce
    this.lost = this.#loss.signal
    this.#timer = setInterval(() => void this.#refresh(), refreshMs)
  }

  /**
   * Replaces the whole config, if the machine is still at `current_version`. Not repeated when the
   * answer is lost.
   */
  async update(body: MachineUpdate, signal: AbortSignal): Promise<Machine> {
    const { app, id } = this.ref
    const call = { method: 'POST', path: `/apps/${app}/machines/${id}`, action: 'update' } as const
    const more = { id, nonce: this.nonce, answerMs: createMs, repeat: 'no' } as const
    const answer = machineAnswer
    const updated = await this.calls.call({ ...call, ...more, body, answer }, signal)
    crashPoint('update-sent')
    return updated
  }

  async #refresh(): Promise<void> {
    try {
      await refreshLease(this.calls, this.ref, this.nonce, this.lost)
    } catch (error) {
      if (this.lost.aborted || isUnavailable(error)) return // the next refresh may succeed
      clearInterval(this.#timer)
      const detail = `The lease of machine ${this.ref.id} was lost. Another program has it now.`
      this.#loss.abort(new Problem('machine-leased', detail, { cause: error }))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    const call = { ...leaseCall(this.ref), method: 'DELETE', action: 'release-lease' } as const
    const release = this.calls.call({ ...call, nonce: this.nonce }, AbortSignal.timeout(10_000))
    // A lease that cannot be released expires by itself.
    await orNull(release).catch(() => {})
    this.#loss.abort()
  }
}

/** Not repeated after a lost answer: until it expires, nobody may know the lease's nonce. */
async function takeLease(
  calls: FlyCalls,
  machine: MachineRef,
  description: string,
  signal: AbortSignal,
): Promise<string> {
  const body = { ttl: ttlSeconds, description }
  const answer = await calls.call({ ...leaseCall(machine), body, repeat: 'no' }, signal)
  crashPoint('lease-taken')
  return nonceOf(answer)
}

async function refreshLease(
  calls: FlyCalls,
  machine: MachineRef,
  nonce: string,
  signal: AbortSignal,
): Promise<string> {
  const body = { ttl: ttlSeconds }
  return nonceOf(await calls.call({ ...leaseCall(machine), body, nonce }, signal))
}

const leaseCall = ({ app, id }: MachineRef) =>
  ({
    method: 'POST',
    path: `/apps/${app}/machines/${id}/lease`,
    action: 'lease',
    id,
    answer: Lease,
  }) as const

function nonceOf(answer: Lease): string {
  const nonce = answer.data?.nonce ?? answer.nonce
  if (nonce) return nonce
  throw new Problem('fly-refused', 'Fly gave a lease without a nonce.', { facts: { status: 200 } })
}

const isHeld = (error: unknown): error is Problem =>
  error instanceof Problem && statusOf(error) === 409

function leased({ app, id }: MachineRef, cause: Problem): Problem {
  const detail = `The lease of machine ${id} is held by ${holderIn(cause)}, and was not given back within ${waitMs / 1000} s. Another deploy or command is at work on the machine, or it ended without giving the lease back. Wait for it. If it does not run any more, take the lease away (fly machine leases clear ${id} --app ${app}) and deploy again.`
  return new Problem('machine-leased', detail, {
    cause,
    facts: { machine: id, fly: cause.facts['fly'] },
  })
}

function holderIn({ facts }: Problem): string {
  const holder = /held by (\S+?),? expires at (\S+)/.exec(String(facts['fly']))
  return holder ? `${holder[1]} until ${holder[2]}` : 'another program'
}
