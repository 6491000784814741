import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { backup, databaseIn, restore } from '../../../gateway/src/store/backup.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { lockVolume } from '../../../gateway/src/store/volume-lock.ts'

const gateway = join(import.meta.dirname, '../../../gateway/src')
const options = DeploymentOptions.parse({})
const newFolder = () => mkdtempSync(join(tmpdir(), 'tarmac-store-'))

/** A volume with the record of one deployment. */
async function volume(id: string): Promise<string> {
  const dir = newFolder()
  await using store = openSqliteStore(databaseIn(dir))
  await store.create({ id, app: 'shop', options, source: null })
  return dir
}
async function ids(dir: string): Promise<string[]> {
  await using store = openSqliteStore(databaseIn(dir))
  return (await store.list('shop', { limit: 9, before: null })).deployments.map(({ id }) => id)
}

test('a backup during writes by another process is complete, holds all acknowledged writes, and can be restored', async () => {
  const dir = await volume('d1')
  const program = `import { openSqliteStore } from '${gateway}/store/sqlite.ts'
    const store = openSqliteStore('${databaseIn(dir)}')
    const holder = { id: 'd1', epoch: (await store.claim()).epoch }
    for (let n = 3; ; n++) {
      await store.append(holder, [{ type: 'note', text: 'x'.repeat(500) }])
      if (n % 100 === 0) console.log(n)
    }`
  const writer = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let acknowledged = 0
  writer.stdout.on(
    'data',
    (text: Buffer) => (acknowledged = Number(text.toString().trim().split('\n').at(-1))),
  )
  const copies: { file: string; acknowledged: number }[] = []
  while (copies.length < 3) {
    await once(writer.stdout, 'data')
    const file = join(newFolder(), 'copy.db')
    copies.push({ file, acknowledged })
    backup(dir, file)
  }
  writer.kill('SIGKILL')
  await once(writer, 'exit')

  for (const { file, acknowledged } of copies) {
    expect(acknowledged).toBeGreaterThan(0)
    const empty = join(newFolder(), 'new/volume')
    expect(restore(empty, file)).toEqual({ previous: null })
    await using store = openSqliteStore(databaseIn(empty))
    const seqs = (await store.eventsAfter('d1', 0, 1e6)).map(({ seq }) => seq)
    expect(seqs).toEqual(seqs.map((_, index) => index + 1))
    expect(seqs.length).toBeGreaterThanOrEqual(acknowledged)
    expect(await store.recover('The gateway was killed')).toEqual([])
  }
}, 60_000)

test('a restore keeps a copy of the earlier records, including those only in their write-ahead log', async () => {
  const saved = await volume('saved')
  const file = join(newFolder(), 'copy.db')
  backup(saved, file)
  const [at, dir] = [newFolder(), newFolder()]
  {
    await using store = openSqliteStore(databaseIn(at))
    await store.create({ id: 'former', app: 'shop', options, source: null })
    cpSync(at, dir, { recursive: true }) // the state after a kill
  }
  const { previous } = restore(dir, file)
  expect(await ids(dir)).toEqual(['saved'])
  using db = new DatabaseSync(previous!)
  expect(db.prepare('SELECT id FROM deployments').all()).toEqual([{ id: 'former' }])
})

test('a damaged database is also replaced by a restore, and kept aside unchanged', async () => {
  const file = join(newFolder(), 'copy.db')
  backup(await volume('saved'), file)
  const dir = newFolder()
  writeFileSync(databaseIn(dir), 'not a database'.repeat(999))
  expect(() => backup(dir, join(dir, 'copy'))).toThrow('is damaged')
  const { previous } = restore(dir, file)
  expect(await ids(dir)).toEqual(['saved'])
  expect(readFileSync(previous!, 'utf8')).toBe('not a database'.repeat(999))
})

test.each<[string, (file: string, dir: string) => unknown, string]>([
  ['no file', (file) => `${file}-other`, 'There is no file'],
  [
    'a file of another kind',
    (file) => writeFileSync(file, 'hello'.repeat(999)),
    'is damaged (file is not a database)',
  ],
  ['an empty file', (file) => writeFileSync(file, ''), 'is damaged (it is empty)'],
  [
    'the database of another program',
    (file) => alter(file, 'DROP TABLE events; PRAGMA user_version = 0'),
    'another program',
  ],
  [
    'a backup of a newer gateway',
    (file) => alter(file, 'PRAGMA user_version = 99'),
    'newer gateway',
  ],
  ['a backup with damage inside', (file) => damage(file), 'is damaged'],
])('%s is not restored, and nothing changes', async (_, spoil, why) => {
  const file = join(newFolder(), 'copy.db')
  backup(await volume('saved'), file)
  const dir = await volume('here')
  const before = readdirSync(dir)
  const from = spoil(file, dir)
  expect(() => restore(dir, typeof from === 'string' ? from : file)).toThrow(
    expect.objectContaining({ code: 'database-unusable', message: expect.stringContaining(why) }),
  )
  expect(readdirSync(dir).filter((name) => name !== 'lock')).toEqual(before)
  expect(await ids(dir)).toEqual(['here'])
})

test('a folder, and a database without records, are no backup', async () => {
  const dir = await volume('d1')
  const folder = newFolder()
  expect(() => restore(dir, folder)).toThrow(`There is no file ${folder}`)
  const empty = join(folder, 'empty.db')
  new DatabaseSync(empty).exec('CREATE TABLE a (b); DROP TABLE a')
  expect(() => restore(dir, empty)).toThrow('is a database of another program')
  expect(await ids(dir)).toEqual(['d1'])
})

test('the command backs up, restores, refuses while a gateway holds the volume, and prints its usage', async () => {
  const dir = await volume('d1')
  const file = join(newFolder(), 'copy.db')
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [join(gateway, 'main.ts'), ...args], {
      env: { TARMAC_DATA: dir },
    })
  expect((await run('backup', file)).stdout).toBe(`The records of ${dir} are in ${file}.\n`)
  await expect(run('backup', file)).rejects.toMatchObject({
    code: 1,
    stderr: `${file} already exists. Name a new file.\n`,
  })

  {
    using _held = lockVolume(dir)
    await expect(run('restore', file)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Stop that gateway'),
    })
    await expect(run()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`locked by process ${process.pid}`),
    })
  }
  expect((await run('restore', file)).stdout).toContain('the previous records are in')
  await expect(run('backup')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('restore FILE'),
  })
  expect(existsSync(`${file}.part`)).toBe(false)
}, 60_000)

function alter(file: string, sql: string): void {
  using db = new DatabaseSync(file)
  db.exec(sql)
}

function damage(file: string): void {
  const bytes = readFileSync(file)
  bytes.fill(0xff, bytes.length - 4096)
  writeFileSync(file, bytes)
}
