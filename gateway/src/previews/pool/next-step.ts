import type { PoolEntry } from '../../deployments/previews/pool-store.ts'

/** What a pool should hold now. `fits`: see `fitsOf`. `hasRoom`: all pools may have one entry more. */
export type Wanted = { size: number; fits: string; hasRoom: boolean; nowMs: number }

export type Step = { do: 'rest' | 'drop'; entry: PoolEntry } | { do: 'fill' } | null

/**
 * How long an entry lives. Its machine says so on Fly, so that another gateway removes it if this
 * one is lost.
 */
export const entryMs = 7 * 86_400_000
/** An entry is replaced so long before its end. */
const earlyMs = 86_400_000

/**
 * What to do next for a pool. Null: nothing, or it has to wait. What does not fit any more is
 * replaced one after another, so that the pool is never empty for it.
 */
export function nextStep(
  entries: readonly PoolEntry[],
  { size, fits, hasRoom, nowMs }: Wanted,
): Step {
  const running = entries.find(({ state }) => state === 'ready')
  if (running) return { do: 'rest', entry: running }
  if (entries.some(({ state }) => state === 'starting')) return null

  const living = entries.filter(({ state }) => state !== 'destroying')
  const extra = living.at(-1)
  if (extra && living.length > size) return { do: 'drop', entry: extra }
  if (living.length < size) return hasRoom ? { do: 'fill' } : null

  const isOld = ({ fits: its, expiresAt }: PoolEntry) =>
    its !== fits || Date.parse(expiresAt) - earlyMs < nowMs
  const old = living.find(isOld)
  return old && living.length === entries.length ? { do: 'drop', entry: old } : null
}
