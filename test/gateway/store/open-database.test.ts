import { hash } from 'node:crypto'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openLog } from '../../../gateway/src/log.ts'
import { IntegrityWatch } from '../../../gateway/src/store/integrity/integrity-watch.ts'
import { openDatabase } from '../../../gateway/src/store/open-database.ts'

/**
 * The folder of a database with rows after `kill -9`: the newest rows are only in the write-ahead
 * log.
 */
function killed(): { dir: string; path: string } {
  const from = mkdtempSync(join(tmpdir(), 'tarmac-store-'))
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-store-'))
  const add = (db: DatabaseSync, name: string) => {
    const insert = db.prepare('INSERT INTO secrets VALUES (?, ?, ?, ?, ?, ?)')
    db.exec('BEGIN')
    for (let n = 0; n < 1000; n++)
      insert.run(name, `NAME_${n}`, 'k', new Uint8Array(200), 'then', 'then')
    db.exec('COMMIT')
  }
  {
    using first = openDatabase(join(from, 'tarmac.db'))
    add(first, 'app:shop')
  }
  using db = openDatabase(join(from, 'tarmac.db'))
  add(db, 'app:blog')
  cpSync(from, dir, { recursive: true })
  rmSync(join(dir, 'tarmac.db-shm')) // shared memory of the processes, not on the disk
  return { dir, path: join(dir, 'tarmac.db') }
}
/** The files on the disk. A read may leave an empty write-ahead log behind. */
const contents = (dir: string) =>
  Object.fromEntries(
    readdirSync(dir)
      .filter((name) => !name.endsWith('-shm'))
      .map((name) => [name, readFileSync(join(dir, name))] as const)
      .filter(([name, bytes]) => name === 'tarmac.db' || bytes.length > 0)
      .map(([name, bytes]) => [name, hash('sha256', bytes)]),
  )

test.each<[string, (path: string) => void, string]>([
  [
    'of a newer gateway',
    (path) => alter(path, 'PRAGMA user_version = 99'),
    'start the newer gateway again',
  ],
  [
    'of another program',
    (path) => alter(path, 'DROP TABLE events; PRAGMA user_version = 0'),
    'of another program',
  ],
  [
    'whose first page is gone',
    (path) => (writeFileSync(path, 'not a database'.repeat(999)), rmSync(`${path}-wal`)),
    'tarmac-gateway restore FILE',
  ],
  [
    'that was cut short',
    (path) => (truncateSync(path, 8192), rmSync(`${path}-wal`)),
    'is damaged (database disk image is malformed)',
  ],
  [
    'that is gone while its log is there',
    (path) => rmSync(path),
    'is damaged (its write-ahead log exists',
  ],
  [
    'that is empty while its log is there',
    (path) => truncateSync(path),
    'is damaged (it is empty)',
  ],
  [
    'that is empty and alone',
    (path) => (truncateSync(path), rmSync(`${path}-wal`)),
    'is damaged (it is empty)',
  ],
  [
    'that a restore left in pieces',
    (path) => writeFileSync(`${path}-restoring`, 'x'),
    'run it again',
  ],
])('a database %s is refused and left unchanged', (_, spoil, why) => {
  const { dir, path } = killed()
  spoil(path)
  const before = contents(dir)
  expect(() => openDatabase(path)).toThrow(
    expect.objectContaining({ code: 'database-unusable', message: expect.stringContaining(why) }),
  )
  expect(contents(dir)).toEqual(before)
})

test('a first start that was killed at any moment is repeated', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-store-'))
  const path = join(dir, 'tarmac.db')
  for (const part of ['', '-wal']) writeFileSync(`${path}-new${part}`, 'half a page')
  openDatabase(path).close()
  expect(readdirSync(dir)).toEqual(['tarmac.db'])
})

test('rows that only the write-ahead log holds after a kill are restored', () => {
  using db = openDatabase(killed().path)
  expect(db.prepare('SELECT count(*) AS n FROM secrets').get()).toEqual({ n: 2000 })
})

test('damage deep inside is found during operation, logged, and shown', async () => {
  const { path } = killed()
  openDatabase(path).close() // checkpoints the write-ahead log
  const logged: string[] = []
  const log = openLog('info', { write: (line: string) => void logged.push(line) })
  {
    await using watch = new IntegrityWatch(path, log)
    await watch.look('quick_check')
    expect(watch.state()).toMatchObject({ ok: true, detail: expect.stringContaining('whole at') })
  }
  const bytes = readFileSync(path)
  bytes.fill(0xff, bytes.length - 3 * 4096, bytes.length - 4096)
  writeFileSync(path, bytes)
  using db = openDatabase(path)
  expect(db.prepare('SELECT 1 AS one').get()).toEqual({ one: 1 })

  await using watch = new IntegrityWatch(path, log)
  await watch.look('integrity_check')
  expect(watch.state()).toMatchObject({
    ok: false,
    detail: expect.stringContaining('tarmac-gateway restore'),
  })
  expect(logged.at(-1)).toContain('database is damaged')
}, 60_000)

function alter(path: string, sql: string): void {
  using db = new DatabaseSync(path)
  db.exec(sql)
}
