import type { Preview } from '#api/previews/preview.ts'
import type { MachineRef } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { previewEndMark, previewOwnerMark } from '../../deployments/previews/preview-names.ts'

/**
 * Writes to a machine on Fly whose preview it is, and when that ends. The end goes last: the sweep
 * repeats both until it is right.
 */
export async function markMachine(
  ref: MachineRef,
  { owner, fromPool, expiresAt }: Pick<Preview, 'owner' | 'fromPool' | 'expiresAt'>,
  { fly }: { fly: Pick<MachinesApi, 'withoutLease'> },
  signal: AbortSignal,
): Promise<void> {
  const machine = fly.withoutLease(ref)
  if (fromPool) await machine.setMetadata(previewOwnerMark, owner, signal)
  await machine.setMetadata(previewEndMark, expiresAt, signal)
}
