import type { DatabaseSync } from 'node:sqlite'
import { damageIn } from '../sqlite-errors.ts'

/** `quick_check` does not check that the indexes agree with their tables. */
export const checks = ['quick_check', 'integrity_check'] as const
export type Check = (typeof checks)[number]

/** What is wrong inside a database, in a few words. Null: nothing. */
export function integrityOf(db: DatabaseSync, check: Check): string | null {
  try {
    const lines = db
      .prepare(`PRAGMA ${check}(5)`)
      .all()
      .map((row) => String(Object.values(row)[0]))
    return lines.length === 1 && lines[0] === 'ok' ? null : lines.join('; ')
  } catch (error) {
    const damage = damageIn(error)
    if (damage === null) throw error
    return damage
  }
}
