import type { Removal, RemovalReason } from '#api/status/disk/removals.ts'
import type { CacheRecord } from './cache-records.ts'

export type CacheRemoval = Pick<Removal, 'why' | 'app' | 'count' | 'bytes'>
/** The sizes of what was removed, by id. */
export type Removed = ReadonlyMap<string, number>

export const bytesOf = (removed: Removed): number =>
  [...removed.values()].reduce((sum, bytes) => sum + bytes, 0)

/** The daemon drops small parts after each build. They are not worth a line. */
const leastBytes = 2 ** 20

type Reason = readonly [RemovalReason, readonly { id: string }[]]

/** Says what was removed from the build cache, and why. Also what the daemon removed by itself. */
export class RemovalNotes {
  /** Null: nobody wants to know. */
  listener: ((removal: CacheRemoval) => void) | null = null
  /** What was there at the last look, and in use by no build. */
  #seen = new Map<string, number>()
  /** What the gateway removed. A look that began before may still see it. */
  readonly #own = new Set<string>()

  removed(removed: Removed): Removed {
    for (const id of removed.keys()) this.#own.add(id)
    return removed
  }

  report(why: RemovalReason, removed: Removed, app: string | null = null): void {
    const bytes = bytesOf(removed)
    if (bytes > 0) this.listener?.({ why, app, count: removed.size, bytes })
  }

  /** Each part has the first reason that names it. */
  reportBy(reasons: readonly Reason[], removed: Removed): void {
    const left = new Map(removed)
    for (const [why, records] of reasons) {
      const own = new Map(records.flatMap(({ id }) => (left.has(id) ? [[id, left.get(id)!]] : [])))
      for (const id of own.keys()) left.delete(id)
      this.report(why, own)
    }
  }

  /** What is missing since the last look, and which the gateway did not remove, the daemon has removed. */
  look(records: readonly CacheRecord[]): void {
    const now = new Set(records.map(({ id }) => id))
    const gone = new Map([...this.#seen].filter(([id]) => !now.has(id) && !this.#own.has(id)))
    if (bytesOf(gone) >= leastBytes) this.report('daemon', gone)
    for (const id of this.#own) if (!now.has(id)) this.#own.delete(id)
    this.#seen = new Map(
      records.flatMap(({ id, inUse, sizeBytes }) => (inUse ? [] : [[id, sizeBytes]])),
    )
  }
}
