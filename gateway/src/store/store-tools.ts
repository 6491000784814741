import { unpackJson } from '../deployments/packed-json.ts'
import { sizeLimits } from '../deployments/size-limits.ts'

/** What tables that write by themselves have of the store. */
export type StoreTools = {
  /** ISO 8601, UTC; so much later than now. */
  time: (laterMs?: number) => string
  /** Happens whole or not at all, also when the disk is full. Not within another. */
  transaction: <T>(work: () => T) => T
}

/** An object as it was written, packed or not; null when that cannot be read. One damaged row must not stop what concerns others. */
export function parsedObject(text: string): object | null {
  try {
    const value: unknown = unpackJson(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/**
 * A page of a list, newest first, and the cursor of the next one, from one row more than the page may hold. The page is
 * shorter when its rows are large; `rows` are read only as far as they are needed.
 */
export function pageOf<Row extends { body: string }>(
  rows: Iterable<Row>,
  limit: number,
  cursorOf: (row: Row) => string | number,
  sizeOf: (row: Row) => number = ({ body }) => body.length,
): { shown: Row[]; next: string | null } {
  const shown: Row[] = []
  let sizeBytes = 0
  for (const row of rows) {
    sizeBytes += sizeOf(row)
    const isFull = shown.length === limit || (shown.length > 0 && sizeBytes > sizeLimits.pageBytes)
    if (isFull) return { shown, next: String(cursorOf(shown.at(-1)!)) }
    shown.push(row)
  }
  return { shown, next: null }
}
