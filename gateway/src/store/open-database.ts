import { readdirSync, readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

const migrations = new URL('migrations/', import.meta.url)

/** Opens the database file, or makes it, at the newest version. An acknowledged write survives a power cut (FULL). */
export function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  try {
    db.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON;
      PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;`)
    // Some builds of SQLite quietly keep NORMAL; then a 202 would not be the promise that it is.
    if (db.prepare('PRAGMA synchronous').get()?.['synchronous'] !== 2)
      throw new Error('SQLite does not keep synchronous=FULL')
    migrate(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function migrate(db: DatabaseSync): void {
  const files = readdirSync(migrations).toSorted()
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > files.length)
    throw new Error(`The database is of version ${version}, this gateway knows ${files.length}: start a newer gateway.`)
  files.slice(version).forEach((file, index) => {
    db.exec(`BEGIN IMMEDIATE; ${readFileSync(new URL(file, migrations), 'utf8')}
      PRAGMA user_version = ${version + index + 1}; COMMIT;`)
  })
}
