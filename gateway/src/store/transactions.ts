import type { DatabaseSync } from 'node:sqlite'
import { TimeSlice } from '../time-slice.ts'
import type { LogSync } from './sync/log-sync.ts'
import { isFull, noRoom } from './sqlite-errors.ts'
import type { StoreTools } from './store-tools.ts'

/** `makeRoom`: called when the disk is full. Returns whether another attempt makes sense. */
export function transactionsOn(
  db: DatabaseSync,
  makeRoom: () => boolean,
  log: Pick<LogSync, 'begin'>,
): StoreTools['transaction'] {
  const changes = db.prepare('SELECT total_changes() AS count')
  const count = () => Number(changes.get()!['count'])

  return function transaction(action, sync = 'now') {
    const before = sync === 'soon' ? count() : 0
    try {
      // SQLite takes this setting only between transactions. A later one with FULL syncs both.
      if (sync === 'soon') db.exec('PRAGMA synchronous = NORMAL')
      db.exec('BEGIN IMMEDIATE')
      const result = action()
      db.exec('COMMIT')
      if (sync === 'soon' && count() > before) log.begin()
      return result
    } catch (error) {
      // On a full disk SQLite has rolled back already.
      if (db.isTransaction) db.exec('ROLLBACK')
      if (!isFull(error)) throw error
      if (!makeRoom()) throw noRoom(error)
      return transaction(action, sync)
    } finally {
      if (sync === 'soon') db.exec('PRAGMA synchronous = FULL')
    }
  }
}

/**
 * Records may be many and large: after this long a transaction ends, so that others get their turn.
 */
const partMs = 10

/**
 * Calls `each` for all items, in as many transactions as needed. Each item is handled in one
 * transaction.
 */
export async function inParts<T>(
  items: T[],
  transaction: StoreTools['transaction'],
  each: (item: T) => void,
): Promise<void> {
  const part = new TimeSlice(partMs)
  for (let at = 0; at < items.length;) {
    await part.yield()
    at = transaction(() => {
      let next = at
      do each(items[next++]!)
      while (next < items.length && !part.isOver)
      return next
    })
  }
}
