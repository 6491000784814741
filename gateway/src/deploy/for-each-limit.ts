/**
 * `work` on all items, `most` of them at a time. After a failure none is begun any more; `stop` tells those at work, and
 * when they have ended the first failure is thrown.
 */
export async function forEachLimit<T>(
  items: T[],
  most: number,
  work: (item: T) => Promise<void>,
  stop = new AbortController(),
): Promise<void> {
  const waiting = items.values()
  const lane = async () => {
    for (const item of waiting) {
      stop.signal.throwIfAborted()
      await work(item)
    }
  }
  const lanes = Array.from({ length: Math.min(most, items.length) }, () =>
    lane().catch((error: unknown) => stop.abort(error)),
  )
  await Promise.all(lanes)
  stop.signal.throwIfAborted()
}
