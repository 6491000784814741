/**
 * Does something with trees in the background, one after the other. A failure is not reported: what is
 * done here can be done later, or saves time only.
 */
export class TreeQueue {
  readonly #act: (digest: string) => Promise<unknown>
  readonly #waiting = new Set<string>()
  #running: Promise<void> | null = null
  #isOver = false

  constructor(act: (digest: string) => Promise<unknown>) {
    this.#act = act
  }

  add(digest: string): void {
    if (this.#isOver) return
    this.#waiting.add(digest)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    for (const digest of this.#waiting) {
      if (this.#isOver) break
      // A tree that was removed meanwhile, or a full disk.
      await this.#act(digest).catch(() => {})
      this.#waiting.delete(digest)
    }
    this.#running = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#running
  }
}
