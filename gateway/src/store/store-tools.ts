/** What tables that write by themselves have of the store. */
export type StoreTools = {
  /** ISO 8601, UTC; so much later than now. */
  time: (laterMs?: number) => string
  /** Happens whole or not at all, also when the disk is full. Not within another. */
  transaction: <T>(work: () => T) => T
}

/** An object as it was written down; null when that cannot be read. One damaged row must not stop what concerns others. */
export function parsedObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/** A page of a list, newest first, and the cursor of the next one, from one row more than the page may hold. */
export function pageOf<Row>(
  rows: Row[],
  limit: number,
  cursorOf: (row: Row) => string | number,
): { shown: Row[]; next: string | null } {
  const shown = rows.slice(0, limit)
  return { shown, next: rows.length > shown.length ? String(cursorOf(shown.at(-1)!)) : null }
}
