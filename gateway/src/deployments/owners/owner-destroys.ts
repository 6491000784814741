import { Problem } from '#api/problem.ts'

/** An owner of machines of an app. */
export type Owned = { app: string; owner: string }
type Change = { key: string; abort: AbortController }

/**
 * Which owners are destroyed now. One destroy of an owner runs at a time, and nothing else changes its
 * machines meanwhile. Kept in memory: a gateway that dies destroys nobody.
 */
export class OwnerDestroys {
  /** The last destroy of each owner. */
  readonly #last = new Map<string, Promise<void>>()
  readonly #changes = new Set<Change>()

  /** Throws `owner-not-ready` while the owner is destroyed. */
  assertNone({ app, owner }: Owned): void {
    if (this.#last.has(keyOf({ app, owner }))) throw beingDestroyed({ app, owner })
  }

  /** Destroys an owner after the destroys that came before. Changes that run are aborted. */
  async run<T>(target: Owned, destroy: () => Promise<T>): Promise<T> {
    const key = keyOf(target)
    for (const change of this.#changes)
      if (change.key === key) change.abort.abort(beingDestroyed(target))
    const earlier = this.#last.get(key) ?? Promise.resolve()
    const { promise: done, resolve } = Promise.withResolvers<void>()
    this.#last.set(key, done)
    try {
      await earlier
      return await destroy()
    } finally {
      if (this.#last.get(key) === done) this.#last.delete(key)
      resolve()
    }
  }

  /** Changes an owner. Throws `owner-not-ready` if it is destroyed, or a destroy begins meanwhile. */
  async whileNone<T>(target: Owned, change: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.assertNone(target)
    const running = { key: keyOf(target), abort: new AbortController() }
    const { signal } = running.abort
    this.#changes.add(running)
    try {
      const result = await change(signal)
      signal.throwIfAborted()
      return result
    } catch (error) {
      // Whatever it met first: its machines went away under it.
      signal.throwIfAborted()
      throw error
    } finally {
      this.#changes.delete(running)
    }
  }
}

const keyOf = ({ app, owner }: Owned): string => JSON.stringify([app, owner])

const beingDestroyed = ({ app, owner }: Owned): Problem =>
  new Problem(
    'owner-not-ready',
    `${owner} in ${app} is being destroyed. Wait for the end of that: tarmac owner show ${app} ${owner} then says what is left.`,
  )
