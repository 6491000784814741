import { readdirSync } from 'node:fs'
import { errorCode } from '#api/error-code.ts'

/** Null if the file is not there: a running gateway may remove one at any time. */
export function unlessGone<T>(look: () => T): T | null {
  try {
    return look()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw error
  }
}

/** Empty if there is no such folder. */
export const namesIn = (folder: string): string[] => unlessGone(() => readdirSync(folder)) ?? []
