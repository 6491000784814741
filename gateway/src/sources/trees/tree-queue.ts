import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Does something with trees in the background, one after the other. A failure is not reported: what is
 * done here can be done later, or saves time only.
 */
export class TreeQueue {
  readonly #act: (digest: string) => Promise<unknown>
  readonly #laterMs: number
  readonly #waiting = new Set<string>()
  #running: Promise<void> | null = null
  readonly #over = new AbortController()

  /** `laterMs`: how long it waits before it begins. */
  constructor(act: (digest: string) => Promise<unknown>, laterMs = 0) {
    this.#act = act
    this.#laterMs = laterMs
  }

  add(digest: string): void {
    if (this.#over.signal.aborted) return
    this.#waiting.add(digest)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    const { signal } = this.#over
    await sleep(this.#laterMs, undefined, { signal }).catch(() => {})
    for (const digest of this.#waiting) {
      if (signal.aborted) break
      // A tree that was removed meanwhile, or a full disk.
      await this.#act(digest).catch(() => {})
      this.#waiting.delete(digest)
    }
    this.#running = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#running
  }
}
