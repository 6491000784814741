import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Problem } from '#api/problem.ts'
import { noteRestore } from './audit/head-file.ts'
import { moveInPlace } from './move-in-place.ts'
import { inspect, newestVersion, versionOf } from './open-database.ts'
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
 * this gateway. If it is interrupted, the next start of the gateway or the next restore ends it.
 */
export function restore(dir: string, file: string): { previous: string | null } {
  mkdirSync(dir, { recursive: true }) // the volume may be new
  using _held = lockVolume(dir)
  const from = resolve(file)
  if (!statSync(from, { throwIfNoEntry: false })?.isFile())
    throw new Problem('database-unusable', `There is no file ${from}.`)

  inspect(from, undefined, 'whole')
  const part = `${stagedIn(dir)}.part`
  rmSync(part, { force: true })
  copyFileSync(from, part)
  stageRestore(dir, part)
  return { previous: finishRestore(dir)!.previous }
}

/**
 * After an upgrade that did not work: when the records are of a newer gateway, stages the copy from
 * before the upgrade in their place. It is used up: a later start does not find it again.
 */
function goBack(dir: string, copy: string): void {
  if (copy === '' || !existsSync(copy) || !existsSync(databaseIn(dir))) return
  if (versionOf(databaseIn(dir)) <= newestVersion()) return
  inspect(copy, undefined, 'whole')
  stageRestore(dir, copy)
}

/** The complete records that the next step of a restore puts in place. */
const stagedIn = (dir: string): string => `${databaseIn(dir)}-restoring`

/**
 * Moves a checked database beside the records of a volume. From here on, the next start of a
 * gateway replaces the records with it.
 */
export function stageRestore(dir: string, checked: string): void {
  moveInPlace(checked, stagedIn(dir))
}

/**
 * Locks a volume for this gateway, and ends a restore that has begun on it. `restored`: null if none
 * has. `goBackTo`: see `goBack`.
 */
export function takeVolume(
  dir: string,
  goBackTo = '',
): Disposable & { restored: ReturnType<typeof finishRestore> } {
  const lock = lockVolume(dir)
  try {
    if (!existsSync(stagedIn(dir))) goBack(dir, goBackTo)
    return { restored: finishRestore(dir), [Symbol.dispose]: () => lock[Symbol.dispose]() }
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/**
 * Ends a restore that has begun: keeps the earlier records aside and puts the new ones in place.
 * Null: none has begun. It may be killed at any time and run again. Only for the holder of the
 * volume.
 */
export function finishRestore(dir: string): { previous: string | null } | null {
  const [path, staged] = [databaseIn(dir), stagedIn(dir)]
  if (!existsSync(staged)) return null

  // The same name however often this runs: the write-ahead log belongs to its file.
  const begun = statSync(staged).mtime.toISOString().replaceAll(/[:.]/g, '-')
  const previous = `${path}.before-${begun}`
  for (const part of ['', '-wal', '-shm'])
    if (existsSync(path + part)) renameSync(path + part, previous + part)

  noteRestore(dir, basename(previous))
  moveInPlace(staged, path)
  return { previous: existsSync(previous) ? previous : null }
}
