import type { Connection } from '../connection.ts'
import { daemonUnavailable } from '../failures.ts'
import { Prune } from '../messages.ts'
import type { Removed } from './removal-notes.ts'

export type Which = { minFreeBytes: number } | { filters: string[] }

/** Removes unused entries: until so much is free, or those that match a filter. */
export const prune = (connection: Connection, which: Which): Promise<Removed> =>
  new Promise((resolve, reject) => {
    const removed = new Map<string, number>()
    connection
      .watch(Prune, { all: true, ...which })
      .on('data', ({ id, sizeBytes }: { id: string; sizeBytes: number }) =>
        removed.set(id, sizeBytes),
      )
      .on('end', () => resolve(removed))
      .on('error', (error) => reject(daemonUnavailable(error)))
  })
