import { setImmediate } from 'node:timers/promises'

const turnMs = 10
let startedMs = 0
let next: Promise<void> | null = null

/**
 * Resolves when this turn of the event loop has time left for a little synchronous work. All
 * uploads share the turn, so the rest of the process gets its time however many there are.
 */
export async function yieldToEventLoop(): Promise<void> {
  while (performance.now() - startedMs > turnMs) {
    next ??= setImmediate().then(() => {
      startedMs = performance.now()
      next = null
    })
    await next
  }
}
