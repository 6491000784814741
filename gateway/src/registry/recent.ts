const maxEntries = 10_000

/** A cache by key. Each entry expires after a time, and there are at most `maxEntries`. */
export class Recent<V> {
  readonly #keepMs: number
  readonly #found = new Map<string, { value: V; at: number }>()

  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  get(key: string): { value: V; at: number } | null {
    const entry = this.#found.get(key)
    return entry && entry.at > Date.now() - this.#keepMs ? entry : null
  }

  set(key: string, value: V): { value: V; at: number } {
    const entry = { value, at: Date.now() }
    this.#found.delete(key) // a Map keeps the order of insertion: its first key is the oldest
    this.#found.set(key, entry)
    if (this.#found.size > maxEntries) this.#found.delete(this.#found.keys().next().value!)
    return entry
  }

  delete(key: string): void {
    this.#found.delete(key)
  }
}
