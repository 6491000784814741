import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StoreTools } from './store-tools.ts'

/** Records may be many and large: after so long in one transaction, others come in between. */
const partMs = 10

/** Does `each` for all items, in as many transactions as that takes. What concerns one item happens whole or not at all. */
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
