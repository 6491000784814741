import { lstatSync, readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#api/error-code.ts'
import { unpackSlice } from '../staging.ts'

/** `mayHaveUnused`: something was removed since the last sweep. */
export type SweepJob = { volume: string; mayHaveUnused: boolean }

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
      // A tree that links to it at this moment still has the file, and puts it back when it is joined.
      if (lstatSync(path, { throwIfNoEntry: false })?.nlink !== 1) continue
      unlinkSync(path)
      removed++
    }
  }
  return removed
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}
