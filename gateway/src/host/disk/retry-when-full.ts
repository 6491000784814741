import { errorCode } from '#api/error-code.ts'
import type { DiskWatch } from './disk-watch.ts'

/** Runs an action that needs disk space. If the disk is full, frees space and tries once more. */
export async function retryWhenFull<T>(
  disk: Pick<DiskWatch, 'makeRoom'>,
  action: () => T | Promise<T>,
): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!isNoSpace(error)) throw error
    await disk.makeRoom()
    return action()
  }
}

/** Whether a full disk is the cause. */
export const isNoSpace = (error: unknown): boolean =>
  ['no-space', 'ENOSPC'].includes(errorCode(error) ?? '')
