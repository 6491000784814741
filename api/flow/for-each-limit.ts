/**
 * Runs `action` on all items, `limit` at a time. After a failure it starts no more items and aborts
 * `stop` for the running ones. When they have ended, it throws the first failure.
 */
export async function forEachLimit<T>(
  items: T[],
  limit: number,
  action: (item: T) => Promise<void>,
  stop = new AbortController(),
): Promise<void> {
  const waiting = items.values()
  const worker = async () => {
    for (const item of waiting) {
      stop.signal.throwIfAborted()
      await action(item)
    }
  }

  const workers = Array.from({ length: Math.min(limit, items.length) }, () =>
    worker().catch((error: unknown) => stop.abort(error)),
  )
  await Promise.all(workers)
  stop.signal.throwIfAborted()
}
