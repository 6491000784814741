import { lstatSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { unpackSlice } from '../staging.ts'
import { namesIn } from '../unless-gone.ts'

/** Of a stored file. Longer ones are copies on their way there. */
const nameLength = `${'0'.repeat(64)}-x`.length
const copyMs = 3_600_000

/** `mayHaveUnused`: something was removed since the last sweep. */
export type SweepJob = { volume: string; spares: string; mayHaveUnused: boolean }

/**
 * Removes the files of the store that no tree uses and that wait for none: those with one link, and
 * copies that a crash left. Returns how many that were.
 */
export async function sweepObjects(volume: string): Promise<number> {
  let removed = 0
  const objects = join(volume, 'objects')
  for (const part of namesIn(objects)) {
    const folder = join(objects, part)
    for (const name of namesIn(folder)) {
      await unpackSlice.yield()
      const path = join(folder, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      const isComing = name.length > nameLength && Date.now() - (stat?.mtimeMs ?? 0) < copyMs
      // A tree that links to it at this moment still has the file, and puts it back when it is joined.
      if (stat?.nlink !== 1 || isComing) continue
      unlinkSync(path)
      removed++
    }
  }
  return removed
}
