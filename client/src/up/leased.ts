import { Problem } from '#api/problem.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { MachineChanges } from '#fly/machine-changes.ts'
import type { MachineLease } from '#fly/machine-lease.ts'
import type { FlyParts } from './fly-parts.ts'

/** Another command may update the machine, and Fly then pulls an image. */
const waitMs = 360_000

/** Takes the right to change a machine. Says whose end it waits for. */
export const leaseOf = (
  { machines, report, signal }: FlyParts,
  ref: MachineRef,
  description: string,
): Promise<MachineLease> => {
  const onHeld = (holder: string) =>
    report(`machine ${ref.id}: another command changes it; waits for ${holder}`)
  return machines.lease(ref, { description, onHeld, waitMs }, signal)
}

/** Makes a small change. While somebody has the machine's lease, it waits for the lease first. */
export async function changeOf(
  fly: FlyParts,
  ref: MachineRef,
  act: (changes: MachineChanges) => Promise<void>,
): Promise<void> {
  try {
    return await act(fly.machines.withoutLease(ref))
  } catch (error) {
    if (!isLeased(error)) throw error
  }
  await using lease = await leaseOf(fly, ref, 'tarmac')
  await act(lease)
}

/** Fly's words for it. Its other answers with 409 are not about leases. */
const isLeased = (error: unknown): boolean =>
  error instanceof Problem && /lease currently held/.test(String(error.facts['fly']))
