/**
 * Runs `work` on all items, `most` at a time. After a failure it starts no more items and aborts
 * `stop` for the running ones. When they have ended, it throws the first failure.
 */
export async function forEachLimit<T>(
  items: T[],
  limit: number,
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

  const lanes = Array.from({ length: Math.min(limit, items.length) }, () =>
    lane().catch((error: unknown) => stop.abort(error)),
  )
  await Promise.all(lanes)
  stop.signal.throwIfAborted()
}
