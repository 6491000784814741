import type { DatabaseSync } from 'node:sqlite'

/** `quick_check` does not check that the indexes agree with their tables. */
export type Check = 'quick_check' | 'integrity_check'

/** What is wrong inside a database, in a few words. Null: nothing. */
export function integrityOf(db: DatabaseSync, check: Check): string | null {
  try {
    const lines = db
      .prepare(`PRAGMA ${check}(5)`)
      .all()
      .map((row) => String(Object.values(row)[0]))
    return lines.length === 1 && lines[0] === 'ok' ? null : lines.join('; ')
  } catch (error) {
    if (!isDamage(error)) throw error
    return (error as Error).message
  }
}

/** SQLITE_CORRUPT or SQLITE_NOTADB, with any extended code. */
export function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: number }).errcode ?? 0
  return [11, 26].includes(code & 0xff)
}
