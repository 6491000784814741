import { Problem } from '#api/problem.ts'
import type { Tell } from '../deployments/tell.ts'
import type { DiskWatch } from '../host/disk-watch.ts'

const words = /no space left on device|ENOSPC/i
/** What a build that ran out of room may hope for at its next try. */
const wantedShare = 0.5

/** Does what needs room on the disk, when there is some, and until there is none; listens to what it tells. */
export async function withinRoom<T>(
  disk: DiskWatch,
  tell: Tell,
  work: (tell: Tell, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  await disk.settled(signal)
  let said = false
  const listen: Tell = (event) => {
    said ||= event.type === 'log' && words.test(event.text)
    tell(event)
  }
  try {
    return await work(listen, AbortSignal.any([signal, disk.full]))
  } catch (error) {
    throw await outOfRoom(error, said, disk)
  }
}

/**
 * What a build failed with; `no-space` when it was the builder's disk that was full, and then room is being made. A step
 * says so in its own words, which are believed when the disk was seen to be short.
 */
async function outOfRoom(error: unknown, said: boolean, disk: DiskWatch): Promise<unknown> {
  if (!(error instanceof Problem)) return error
  if (error.code !== 'no-space' && !((said || words.test(error.message)) && (await disk.wasShort()))) return error
  void disk.makeRoom(wantedShare)
  const detail =
    'The builder’s disk is full; old build caches are being removed. If it stays so, the build needs more room than the builder has.'
  return new Problem('no-space', detail, { cause: error, facts: error.facts })
}
