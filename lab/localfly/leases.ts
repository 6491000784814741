import { randomBytes, randomUUID } from 'node:crypto'
import { FlyError } from './fly-error.ts'
import type { Machine, Lease } from './state.ts'

/** Acquires a machine's lease. With the nonce of the current lease, extends that one. */
export function acquireLease(
  machine: Machine,
  request: { ttlSeconds: number; description?: string },
  nonce: string | undefined,
): Lease {
  gate(machine, nonce)
  const held = currentLease(machine)
  machine.own.lease = {
    nonce: held?.nonce ?? randomBytes(6).toString('hex'),
    expires_at: Math.floor(Date.now() / 1000) + request.ttlSeconds,
    owner: held?.owner ?? `${randomUUID()}@tokens.fly.io`,
    version: machine.instance_id,
    description: request.description ?? held?.description ?? '',
  }
  return machine.own.lease
}

export function releaseLease(machine: Machine, nonce: string | undefined): void {
  if (!currentLease(machine)) throw new FlyError(404, 'not_found: lease not found')
  gate(machine, nonce)
  machine.own.lease = null
}

export function currentLease(machine: Machine): Lease | null {
  return machine.own.lease && machine.own.lease.expires_at * 1000 > Date.now()
    ? machine.own.lease
    : null
}

/** Refuses a caller without the nonce of the current lease. */
export function gate(machine: Machine, nonce: string | undefined): void {
  const held = currentLease(machine)
  if (!held || held.nonce === nonce) return
  const until = new Date(held.expires_at * 1000).toISOString()
  throw new FlyError(
    409,
    `aborted: machine ID ${machine.id} lease currently held by ${held.owner}, expires at ${until}`,
  )
}
