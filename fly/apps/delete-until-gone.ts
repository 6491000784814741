import { poll } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import type { MachinesApi } from '../machines-api.ts'

/** How long Fly may show an app that it has deleted. Then it is deleted again, so many times in all. */
const goneMs = 5000
const deletions = 6

/**
 * Deletes an app with all that is in it, until Fly has it no more: Fly may not know yet an app that it
 * has just made. Throws `fly-unavailable` if it stays.
 */
export async function deleteUntilGone(
  app: string,
  fly: Pick<MachinesApi, 'app' | 'deleteApp'>,
  signal: AbortSignal,
): Promise<void> {
  const isGone = async () => ((await fly.app(app, signal)) === null ? true : null)
  for (let left = deletions; ; left--) {
    await fly.deleteApp(app, signal)
    if (await poll(isGone, { everyMs: 1000, forMs: goneMs }, signal)) return
    if (left === 1)
      throw new Problem('fly-unavailable', `Fly still has the app ${app} after its deletion.`)
  }
}
