import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StoreTools } from './store-tools.ts'

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
  for (let at = 0; at < items.length;) {
    if (at > 0) await nextTurn()
    at = transaction(() => {
      const endsMs = performance.now() + partMs
      let next = at
      do each(items[next++]!)
      while (next < items.length && performance.now() < endsMs)
      return next
    })
  }
}
