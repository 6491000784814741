import type { Preview } from '#api/previews/preview.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { previewEndMark } from '../../deployments/previews/preview-names.ts'

const withinMs = 5000

/**
 * Says the new end of a preview on its machines, for another gateway if this one is lost. If Fly does
 * not answer, the next sweep does it.
 */
export async function markEnd(
  { flyApp: app, expiresAt }: Preview,
  fly: MachinesApi,
): Promise<void> {
  const signal = AbortSignal.timeout(withinMs)
  const mark = async () => {
    for (const { id } of await fly.machines(app, signal))
      await fly.withoutLease({ app, id }).setMetadata(previewEndMark, expiresAt, signal)
  }
  await mark().catch(() => {})
}
