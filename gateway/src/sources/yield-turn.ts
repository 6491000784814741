import { setImmediate } from 'node:timers/promises'

const turnMs = 10
let startedMs = 0
let next: Promise<void> | null = null

/**
 * Resolves when there is time left in this turn of the event loop for a little synchronous work. All uploads share the
 * turn: however many there are, whoever else lives in this process is served in between.
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
