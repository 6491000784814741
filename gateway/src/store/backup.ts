import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Problem } from '#api/problem.ts'
import { moveInPlace } from './move-in-place.ts'
import { inspect } from './open-database.ts'
import { lockVolume } from './volume-lock.ts'

export const databaseIn = (dir: string): string => join(dir, 'tarmac.db')

/**
 * Copies the records of a volume into a new file: one consistent state, synced. A gateway can keep
 * working meanwhile.
 */
export function backup(dir: string, file: string): void {
  const path = databaseIn(dir)
  const to = resolve(file)
  if (!existsSync(path)) throw new Problem('database-unusable', `There are no records in ${dir}.`)
  if (existsSync(to))
    throw new Problem('database-unusable', `${to} already exists. Name a new file.`)

  inspect(path)

  const part = `${to}.part`
  rmSync(part, { force: true })
  using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })

  try {
    db.prepare('VACUUM INTO ?').run(part)
    moveInPlace(part, to)
  } finally {
    rmSync(part, { force: true })
  }
}

/**
 * Replaces a volume's records with a backup, and returns the name under which the old ones are
 * kept. Refuses while a gateway holds the volume. Refuses a file that is no complete database for
 * this gateway. If it is interrupted, run it again.
 */
export function restore(dir: string, file: string): { previous: string | null } {
  mkdirSync(dir, { recursive: true }) // the volume may be new
  using _held = lockVolume(dir)
  const path = databaseIn(dir)
  const [from, coming] = [resolve(file), `${path}-restoring`]
  if (!existsSync(from)) throw new Problem('database-unusable', `There is no file ${from}.`)

  inspect(from, undefined, 'whole')
  rmSync(coming, { force: true })
  copyFileSync(from, `${coming}.part`)

  // From here to the last step no gateway starts: it would take the records for missing.
  moveInPlace(`${coming}.part`, coming)

  const previous = `${path}.before-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  const kept = existsSync(path)
  for (const part of ['', '-wal', '-shm'])
    if (existsSync(path + part)) renameSync(path + part, previous + part)

  moveInPlace(coming, path)
  return { previous: kept ? previous : null }
}
