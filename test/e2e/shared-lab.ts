/** One lab for the tests of a file. A failed test does not make later tests fail. */
import { afterAll, afterEach, beforeEach } from 'vitest'

/**
 * Starts a lab before the first test, and a new one after a failed test, because nobody knows what
 * that left behind. `use` gets each of them. A replaced lab may leave things; the last one must
 * leave nothing.
 */
export function shareLab<Lab extends AsyncDisposable>(
  start: () => Promise<Lab>,
  use: (lab: Lab) => void | Promise<void>,
): void {
  let current: Lab | undefined
  beforeEach(async () => {
    if (current !== undefined) return
    current = await start()
    await use(current)
  })
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail' || current === undefined) return
    const spoilt = current
    current = undefined
    try {
      await spoilt[Symbol.asyncDispose]()
    } catch (error) {
      console.error(`The lab of "${task.name}", which failed, did not end well:`, error)
    }
  })
  afterAll(() => current?.[Symbol.asyncDispose]())
}
