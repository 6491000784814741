import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { databaseIn, finishRestore, takeVolume } from '../../../gateway/src/store/backup.ts'
import { Copies } from '../../../gateway/src/store/copies/copies.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

vi.setConfig({ testTimeout: 30_000 }) // each copy and check starts a thread

const run = promisify(execFile)
const store = join(import.meta.dirname, '../../../gateway/src/store')
const newFolder = () => mkdtempSync(join(tmpdir(), 'tarmac-copies-'))
const options = DeploymentOptions.parse({})

async function volume(...ids: string[]): Promise<string> {
  const dir = newFolder()
  await using store = openSqliteStore(databaseIn(dir))
  for (const id of ids) await store.create({ id, app: id, options, source: null })
  return dir
}
function idsIn(path: string): unknown[] {
  using db = new DatabaseSync(path)
  return db
    .prepare('SELECT id FROM deployments ORDER BY id')
    .all()
    .map(({ id }) => id)
}
async function backupOf(dir: string): Promise<Buffer> {
  using copies = await Copies.open(dir, () => {})
  await using copy = await copies.make()
  const bytes = await buffer(copy.read())
  expect([bytes.length, createHash('sha256').update(bytes).digest('base64')]).toEqual([
    copy.bytes,
    copy.sha256,
  ])
  return bytes
}
async function restoreTo(
  dir: string,
  file: Buffer,
  more: { overNewer?: boolean; sha256?: string; bytes?: number } = {},
) {
  let restarts = 0
  using copies = await Copies.open(dir, () => void restarts++)
  const { overNewer = false, sha256 = null, bytes = file.length } = more
  const facts = await copies.restore({ body: Readable.from([file]), bytes, sha256, overNewer })
  expect(restarts).toBe(1)
  return facts
}

test('a copy is one whole file with its digest, made while the store is open; nothing of it is left', async () => {
  const dir = await volume('d1')
  await using open = openSqliteStore(databaseIn(dir))
  await open.create({ id: 'd2', app: 'd2', options, source: null })
  const file = join(newFolder(), 'copy.db')
  writeFileSync(file, await backupOf(dir))
  expect(idsIn(file)).toEqual(['d1', 'd2'])
  expect(readdirSync(join(dir, 'copies'))).toEqual([])
})

test('a restore is staged beside the records, and the next start puts it in place and keeps the earlier ones', async () => {
  const file = await backupOf(await volume('saved'))
  const dir = await volume()
  expect(await restoreTo(dir, file)).toEqual({ deployments: 1, newer: null })
  expect(idsIn(databaseIn(dir))).toEqual([])
  const { previous } = finishRestore(dir)!
  expect(idsIn(databaseIn(dir))).toEqual(['saved'])
  expect(idsIn(previous!)).toEqual([])
  expect(finishRestore(dir)).toBe(null)
})

test('records that the backup lacks are not replaced unless the caller says so', async () => {
  const file = await backupOf(await volume('saved'))
  const dir = await volume('newer')
  await expect(restoreTo(dir, file)).rejects.toMatchObject({
    code: 'records-newer',
    message: expect.stringMatching(
      /1 deployments, 0 build secrets. The newest is newer of newer, at .*--over-newer/,
    ),
  })
  expect(finishRestore(dir)).toBe(null)
  expect(await restoreTo(dir, file, { overNewer: true })).toMatchObject({
    newer: { deployments: 1 },
  })
  finishRestore(dir)
  expect(idsIn(databaseIn(dir))).toEqual(['saved'])
})

test.each<[string, string, (file: Buffer) => Buffer, object]>([
  ['of another kind', 'backup-invalid', () => Buffer.from('hello'.repeat(999)), {}],
  ['with damage inside', 'backup-invalid', (file) => file.fill(0xff, file.length - 4096), {}],
  ['of a newer gateway', 'backup-invalid', (file) => withVersion(file, 99), {}],
  ['that is cut', 'body-truncated', (file) => file.subarray(0, 5000), { bytes: 9000 }],
  ['that is longer than it says', 'body-truncated', (file) => file, { bytes: 4096 }],
  ['of another digest', 'digest-mismatch', (file) => file, { sha256: 'other' }],
])('a file %s is refused, and nothing is left', async (_, code, spoil, more) => {
  const dir = await volume('here')
  const file = spoil(await backupOf(await volume('saved')))
  await expect(restoreTo(dir, file, more)).rejects.toMatchObject({ code })
  expect(finishRestore(dir)).toBe(null)
  expect(readdirSync(join(dir, 'copies'))).toEqual([])
  expect(idsIn(databaseIn(dir))).toEqual(['here'])
})

test('a backup of an older gateway is migrated before it replaces anything', async () => {
  const old = join(newFolder(), 'old.db')
  const first = readFileSync(join(store, 'migrations/0001-deployments.sql'), 'utf8')
  {
    using db = new DatabaseSync(old)
    db.exec(
      `PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; ${first} PRAGMA user_version = 1;`,
    )
  }
  const dir = await volume()
  expect(await restoreTo(dir, readFileSync(old))).toMatchObject({ deployments: 0 })
  finishRestore(dir)
  await using open = openSqliteStore(databaseIn(dir))
  expect(await open.countUnfinished()).toBe(0)
})

// Kills the process at each rename and each sync of a restore, then starts again.
test('a restore that is killed at any step loses neither the earlier records nor the restored ones', async () => {
  const saved = await volume('saved')
  const file = join(newFolder(), 'copy.db')
  writeFileSync(file, await backupOf(saved))
  const program = (dir: string, dieAt: number) => `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    let steps = 0
    for (const name of ['renameSync', 'fsyncSync', 'copyFileSync']) {
      const call = fs[name]
      fs[name] = (...args) => {
        if (++steps === ${dieAt}) process.kill(process.pid, 'SIGKILL')
        return call(...args)
      }
    }
    syncBuiltinESMExports()
    const { restore } = await import('${store}/backup.ts')
    restore('${dir}', '${file}')
    console.log(steps)`
  const start = (dir: string, dieAt: number) =>
    run(process.execPath, ['--input-type=module', '--eval', program(dir, dieAt)])

  const steps = Number((await start(await volume('earlier'), 0)).stdout)
  expect(steps).toBeGreaterThan(6)
  for (let dieAt = 1; dieAt <= steps; dieAt++) {
    const dir = await volume('earlier')
    using held = new DatabaseSync(databaseIn(dir)) // keeps the write-ahead log, as a kill does
    held.exec(`INSERT INTO apps (app) VALUES ('in-the-log')`)
    await expect(start(dir, dieAt)).rejects.toMatchObject({ signal: 'SIGKILL' })

    const begun = existsSync(`${databaseIn(dir)}-restoring`)
    const { previous } = finishRestore(dir) ?? { previous: null }
    const kept = readdirSync(dir).find(
      (name) => /before-[\w-]+$/.test(name) && !/-(wal|shm)$/.test(name),
    )
    const isRestored = begun || kept !== undefined
    expect(idsIn(databaseIn(dir))).toEqual([isRestored ? 'saved' : 'earlier'])
    const earlier = isRestored ? join(dir, kept!) : databaseIn(dir)
    expect(idsIn(earlier)).toEqual(['earlier'])
    using db = new DatabaseSync(earlier)
    expect(db.prepare("SELECT app FROM apps WHERE app = 'in-the-log'").all()).toHaveLength(1)
    if (previous !== null) expect(previous).toBe(earlier)
  }
}, 60_000)

test('a gateway goes back to the copy from before an upgrade, once, and only from newer records', async () => {
  const dir = await volume('earlier')
  const copy = join(dir, 'before-upgrade.db')
  writeFileSync(copy, await backupOf(dir))
  takeVolume(dir, copy)[Symbol.dispose]()
  expect([existsSync(copy), idsIn(databaseIn(dir))]).toEqual([true, ['earlier']])

  writeFileSync(databaseIn(dir), withVersion(await backupOf(await volume('newer')), 99))
  {
    using held = takeVolume(dir, copy)
    expect(held.restored).toMatchObject({ previous: expect.stringContaining('before-') })
  }
  expect([existsSync(copy), idsIn(databaseIn(dir))]).toEqual([false, ['earlier']])
  writeFileSync(databaseIn(dir), withVersion(await backupOf(dir), 99))
  using held = takeVolume(dir, copy)
  expect(held.restored).toBe(null)
})

function withVersion(file: Buffer, version: number): Buffer {
  const path = join(newFolder(), 'altered.db')
  writeFileSync(path, file)
  {
    using db = new DatabaseSync(path)
    db.exec(`PRAGMA user_version = ${version}`)
  }
  return readFileSync(path)
}
