import { errorCode } from '#api/error-code.ts'
import type { DiskWatch } from './disk-watch.ts'

/** Does work that needs disk space. If the disk is full, frees space and tries once more. */
export async function retryWhenFull<T>(
  disk: Pick<DiskWatch, 'makeRoom'>,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!['no-space', 'ENOSPC'].includes(errorCode(error) ?? '')) throw error
    await disk.makeRoom()
    return work()
  }
}
