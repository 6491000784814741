import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Problem } from '#api/problem.ts'
import { integrityOf } from './integrity/integrity-of.ts'
import { moveInPlace } from './move-in-place.ts'
import { damageIn, isFull, noRoom } from './sqlite-errors.ts'

const migrations = new URL('migrations/', import.meta.url)

/**
 * Opens or creates the database file, at the newest version. An acknowledged write survives a power
 * cut (FULL). Throws `database-unusable` when the file is damaged, of a newer gateway or of another
 * program, and leaves it untouched.
 */
export function openDatabase(path: string, from: URL = migrations): DatabaseSync {
  inspect(path, readdirSync(from).length)
  if (path !== ':memory:' && !existsSync(path)) make(path, from)
  return upToDate(path, from)
}

/**
 * Uses another name until the database is complete: an empty file of the final name means damage,
 * not a new one.
 */
function make(path: string, from: URL): void {
  const coming = `${path}-new`
  // Left by a first start that was killed.
  for (const part of ['', '-wal', '-shm']) rmSync(coming + part, { force: true })
  upToDate(coming, from).close()
  moveInPlace(coming, path)
}

function upToDate(path: string, from: URL): DatabaseSync {
  const files = readdirSync(from).toSorted()
  const db = new DatabaseSync(path)
  try {
    db.exec(`
      PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;
      PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;
      PRAGMA journal_size_limit = 67108864;`)
    // Some builds of SQLite silently keep NORMAL. Then a power cut could lose a deployment that was
    // answered with 202.
    if (readNumber(db, 'synchronous') !== 2)
      throw new Error('SQLite does not keep synchronous=FULL')
    files.slice(readNumber(db, 'user_version')).forEach((file) => {
      const next = files.indexOf(file) + 1
      db.exec(
        `BEGIN IMMEDIATE; ${readFileSync(new URL(file, from), 'utf8')} PRAGMA user_version = ${next}; COMMIT;`,
      )
    })
    return db
  } catch (error) {
    db.close()
    throw explained(error, path)
  }
}

/**
 * Checks the file without changing it. Throws when this gateway must not work on it. No file at all
 * is fine.
 */
export function inspect(
  path: string,
  newest = newestVersion(),
  more: 'quick' | 'whole' = 'quick',
): void {
  if (existsSync(`${path}-restoring`))
    throw new Problem(
      'database-unusable',
      `A restore of ${path} did not end. Nothing is lost: run it again.`,
    )
  // If the database is gone, SQLite would remove its log as a leftover. It would take an empty file
  // for a new one.
  if (!existsSync(path) && sizeOf(`${path}-wal`) > 0)
    throw damaged(path, 'its write-ahead log exists, the file does not')
  if (!existsSync(path)) return
  if (sizeOf(path) === 0) throw damaged(path, 'it is empty')

  try {
    using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
    const version = readNumber(db, 'user_version')
    if (version > newest)
      throw new Problem(
        'database-unusable',
        `The database ${path} is of version ${version}, this gateway knows ${newest}: start the newer gateway again, or restore a backup made before it. Nothing was changed.`,
      )
    const { ours, all } = db
      .prepare(
        `SELECT count(*) AS "all", count(*) FILTER (WHERE name IN ('deployments', 'events') AND type = 'table') AS ours
       FROM sqlite_schema`,
      )
      .get()!
    // A new database is empty. A backup never is.
    const mayBeNew = Number(all) === 0 && more === 'quick'
    if (!mayBeNew && (Number(ours) < 2 || version === 0))
      throw new Problem(
        'database-unusable',
        `${path} is a database of another program. Nothing was changed.`,
      )
    const found = more === 'whole' ? integrityOf(db, 'integrity_check') : null
    if (found !== null) throw damaged(path, found)
  } catch (error) {
    throw explained(error, path)
  }
}

/** The version that this gateway's migrations lead to. */
export const newestVersion = (): number => readdirSync(migrations).length

/** The version of a database file. 0: it cannot be read. */
export function versionOf(path: string): number {
  try {
    using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
    return readNumber(db, 'user_version')
  } catch {
    return 0
  }
}

function readNumber(db: DatabaseSync, pragma: 'synchronous' | 'user_version'): number {
  return Number(db.prepare(`PRAGMA ${pragma}`).get()![pragma])
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

function explained(error: unknown, path: string): unknown {
  if (isFull(error)) return noRoom(error)
  const damage = damageIn(error)
  return damage === null ? error : damaged(path, damage, error)
}

const damaged = (path: string, reason: string, cause?: unknown): Problem =>
  new Problem(
    'database-unusable',
    `The database ${path} is damaged (${reason}). Nothing was changed. Restore a backup with \`tarmac-gateway restore FILE\`, which keeps the damaged one aside, or a snapshot of the volume.`,
    { cause },
  )
