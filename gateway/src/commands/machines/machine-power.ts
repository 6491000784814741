import { Problem } from '#api/problem.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import type { MachineLease } from '#fly/machine-lease.ts'
import type { MachinesApi } from '#fly/machines-api.ts'

const waitMs = 60_000

/** A machine that the gateway may change. */
export type WithLease = { fly: MachinesApi; lease: MachineLease; signal: AbortSignal }

/** Stops a machine, and waits for that. Throws `time-limit`. */
export async function stop({ fly, lease, signal }: WithLease): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'stopped' || state === 'created') return
  await lease.stop(signal)
  if (await fly.wait(lease.ref, { state: 'stopped', withinMs: waitMs }, signal)) return
  throw late(lease.ref, 'has not stopped', (await found(fly, lease.ref, signal)).state)
}

/** Starts a machine, and waits for that. Throws `time-limit`. */
export async function start({ fly, lease, signal }: WithLease): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'started') return
  if (state !== 'starting') await lease.start(signal) // Fly's proxy may be starting it
  if (await fly.wait(lease.ref, { state: 'started', withinMs: waitMs }, signal)) return
  throw late(lease.ref, 'does not run', (await found(fly, lease.ref, signal)).state)
}

/** Suspends a started machine, and waits for that. Throws `time-limit`. */
export async function suspend({ fly, lease, signal }: WithLease): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'suspended') return
  await lease.suspend(signal)
  if (await fly.wait(lease.ref, { state: 'suspended', withinMs: waitMs }, signal)) return
  throw late(lease.ref, 'is not suspended', (await found(fly, lease.ref, signal)).state)
}

/** Throws `machine-not-found`. */
export async function found(
  fly: MachinesApi,
  ref: MachineRef,
  signal: AbortSignal,
): Promise<Machine> {
  const machine = await fly.machine(ref, signal)
  if (machine && machine.state !== 'destroyed') return machine
  const detail = `The app ${ref.app} has no machine ${ref.id.slice(0, 50)}. To list them: tarmac machines ${ref.app}`
  throw new Problem('machine-not-found', detail)
}

function late({ app, id }: MachineRef, what: string, state: string): Problem {
  const detail = `Machine ${id} of ${app} ${what} after ${waitMs / 1000} s: Fly says ${state}. Look at its log: fly logs --app ${app} --machine ${id}`
  return new Problem('time-limit', detail, { facts: { machine: id, state } })
}
