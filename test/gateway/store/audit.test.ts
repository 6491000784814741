import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { openLog } from '../../../gateway/src/log.ts'
import { ChainKey } from '../../../gateway/src/store/audit/chain.ts'
import { headFileIn, readHead } from '../../../gateway/src/store/audit/head-file.ts'
import { TrailWatch } from '../../../gateway/src/store/audit/trail-watch.ts'
import {
  trailExitCodes,
  verdictText,
  verifyVolume,
} from '../../../gateway/src/store/audit/verify-volume.ts'
import { backup, databaseIn, restore } from '../../../gateway/src/store/backup.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const caller = { name: 'token:ci', kind: 'token', tokenId: 't1', address: '192.0.2.1' } as const
const call = (command: string, app = 'shop') => ({
  command,
  caller,
  targets: [{ app, owner: null }],
  asked: { name: 'KEY' },
})
const ok = { before: null, after: null, result: 'ok', made: null }

/** A volume whose key never changes, unless `keyByte` does. */
function newVolume(keyByte = 1): string {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-audit-'))
  writeFileSync(join(dir, 'key'), Buffer.alloc(32, keyByte))
  return dir
}

/** As a gateway opens it. */
async function openTrail(dir: string, now: () => number = Date.now) {
  const store = openSqliteStore(databaseIn(dir), { now })
  const key = readFileSync(join(dir, 'key'))
  const { trail } = await store.openTrail({ dir, key, log: openLog('silent') })
  return {
    trail,
    key: new ChainKey(key),
    async run(command: string, app?: string) {
      const began = await trail.began(call(command, app))
      await trail.ended({ ...call(command, app), ...ok, began })
    },
    async [Symbol.asyncDispose]() {
      await trail[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

/** A volume with a trail of entries 1 (segment) to 1 + 2 * `calls`. */
async function volumeWith(calls: number): Promise<string> {
  const dir = newVolume()
  await using open = await openTrail(dir)
  for (let at = 0; at < calls; at++) await open.run(`command-${at}`)
  return dir
}

function edit(dir: string, sql: string): void {
  using db = new DatabaseSync(databaseIn(dir))
  db.exec(`DROP TRIGGER IF EXISTS audit_is_append_only; ${sql}`)
}

test('a call has one entry that is shown, with the time of its beginning', async () => {
  await using open = await openTrail(newVolume())
  const began = await open.trail.began(call('submit'))
  const page = () => open.trail.page({}, { limit: 10, before: null })
  expect((await page()).entries[0]).toMatchObject({ command: 'submit', result: 'running' })
  await open.trail.ended({ ...call('submit'), ...ok, began, made: 'd1' })
  const { entries } = await page()
  expect(entries).toMatchObject([
    { number: 3, command: 'submit', caller, result: 'ok', made: 'd1', beganAt: began.at },
    { number: 1, command: 'audit.segment', asked: { why: 'first' } },
  ])
})

test('calls that come at once share a transaction and a write of the head', async () => {
  const dir = newVolume()
  await using open = await openTrail(dir)
  const begun = await Promise.all(['a', 'b', 'c'].map((name) => open.trail.began(call(name))))
  expect(begun.map(({ number }) => number)).toEqual([2, 3, 4])
  expect(new Set(begun.map(({ at }) => at)).size).toBe(1)
  expect(readHead(headFileIn(dir), open.key)).toMatchObject({ kind: 'head', head: { number: 4 } })
})

test('filters show what they say, and pages follow each other without a gap', async () => {
  let now = Date.parse('2026-05-01T00:00:00Z')
  await using open = await openTrail(newVolume(), () => now)
  for (let day = 0; day < 30; day++) {
    await open.run(day % 2 ? 'submit' : 'cancel', day % 3 ? 'shop' : 'blog')
    now += 86_400_000
  }
  await open.trail.ended({ ...call('deleteApp'), ...ok, result: 'forbidden', began: null })
  const all = async (filter: object) => {
    const found = []
    for (let before: string | null = null; ;) {
      const page = await open.trail.page(filter, { limit: 4, before })
      found.push(...page.entries)
      if ((before = page.next) === null) return found
    }
  }
  expect(await all({})).toHaveLength(32)
  expect(await all({ app: 'blog' })).toHaveLength(10)
  expect(await all({ command: 'submit', app: 'blog' })).toHaveLength(5)
  expect(await all({ caller: 'token:*' })).toHaveLength(31)
  expect(await all({ caller: 'operator' })).toEqual([])
  expect(await all({ result: 'failed' })).toMatchObject([{ command: 'deleteApp', beganAt: null }])
  expect(await all({ result: 'forbidden' })).toHaveLength(1)
  const some = await all({ from: '2026-05-03T00:00:00.000Z', to: '2026-05-05T23:59:59.999Z' })
  expect(some.map(({ at }) => at.slice(0, 10))).toEqual(['2026-05-05', '2026-05-04', '2026-05-03'])
})

test('a whole trail is whole, also while a gateway works on it', async () => {
  const dir = newVolume()
  await using open = await openTrail(dir)
  for (let at = 0; at < 5; at++) await open.run('submit')
  expect(await verifyVolume(dir)).toMatchObject({ state: 'whole', entries: 11, notes: [] })
  expect(await open.trail.verify(new AbortController().signal)).toMatchObject({ state: 'whole' })
})

test.each([
  ['a changed entry', `UPDATE audit SET body = replace(body, 'shop', 'blog') WHERE number = 5`, 5],
  ['a changed time', `UPDATE audit SET at = '2020-01-01' WHERE number = 4`, 4],
  ['a removed entry', 'DELETE FROM audit WHERE number = 4', 5],
  ['a removed beginning', 'DELETE FROM audit WHERE number < 4', 4],
  [
    'an added entry',
    `INSERT INTO audit SELECT number + 1, at, key_id, body, mac FROM audit WHERE number = 11`,
    12,
  ],
  [
    'two entries that changed places',
    'UPDATE audit SET number = -4 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 5; UPDATE audit SET number = 5 WHERE number = -4',
    4,
  ],
  ['an entry of another key', `UPDATE audit SET key_id = 'other' WHERE number = 6`, 6],
  ['entries of another key at the end', `UPDATE audit SET key_id = 'x' WHERE number > 8`, 9],
  ['an entry that is not JSON', `UPDATE audit SET body = '{' WHERE number = 7`, 7],
])('%s is found, with its number', async (_, sql, number) => {
  const dir = await volumeWith(5)
  edit(dir, sql)
  const verdict = await verifyVolume(dir)
  expect(verdict).toMatchObject({ state: 'broken' })
  expect(verdict.detail).toContain(`at entry ${number}:`)
  expect(trailExitCodes[verdict.state]).toBe(3)
})

test('the table refuses a changed entry', async () => {
  const dir = await volumeWith(1)
  using db = new DatabaseSync(databaseIn(dir))
  expect(() => db.exec(`UPDATE audit SET at = ''`)).toThrow(
    'entries of the audit trail never change',
  )
})

test('a cut tail is found, and stays known after the next start', async () => {
  const dir = await volumeWith(5)
  edit(dir, 'DELETE FROM audit WHERE number > 8')
  const verdict = await verifyVolume(dir)
  expect(verdict).toMatchObject({ state: 'cut', detail: 'Entries 9 to 11 are missing.' })
  expect(verdictText(verdict)).toContain('The audit trail was cut')
  {
    await using open = await openTrail(dir)
    await open.run('submit')
    expect(open.trail.head).toMatchObject({ number: 14 })
  }
  const later = await verifyVolume(dir)
  expect(later.state).toBe('cut')
  expect(later.detail).toMatch(/^Entries 9 to 11 are missing\. The gateway found this on /)
})

test('a table without any entry is a cut one', async () => {
  const dir = await volumeWith(2)
  edit(dir, 'DELETE FROM audit')
  expect(await verifyVolume(dir)).toMatchObject({
    state: 'cut',
    detail: 'Entries 1 to 5 are missing.',
  })
})

test('a missing or forged head file is found, and stays known after the next start', async () => {
  const dir = await volumeWith(2)
  rmSync(headFileIn(dir))
  expect(await verifyVolume(dir)).toMatchObject({ state: 'headless' })
  writeFileSync(headFileIn(dir), JSON.stringify({ number: 3, mac: 'aa', seal: 'bb' }))
  expect(await verifyVolume(dir)).toMatchObject({ state: 'headless' })
  await using _open = await openTrail(dir)
  const later = await verifyVolume(dir)
  expect(later.state).toBe('headless')
  expect(later.detail).toContain('at entry 6')
})

test('a crash after the commit and before the head is no tampering', async () => {
  const dir = newVolume()
  {
    await using open = await openTrail(dir)
    await open.run('first')
    const head = readFileSync(headFileIn(dir))
    await open.run('second')
    writeFileSync(headFileIn(dir), head)
  }
  expect(await verifyVolume(dir)).toMatchObject({ state: 'whole', entries: 5 })
  await using _open = await openTrail(dir)
  expect(await verifyVolume(dir)).toMatchObject({ state: 'whole', entries: 5 })
})

test('the end of a call that a crash cut off is unknown', async () => {
  const dir = newVolume()
  {
    await using open = await openTrail(dir)
    await open.trail.began(call('deleteApp'))
  }
  await using open = await openTrail(dir)
  const { entries } = await open.trail.page({ result: 'unknown' }, { limit: 10, before: null })
  expect(entries).toMatchObject([{ command: 'deleteApp', caller }])
  expect(await verifyVolume(dir)).toMatchObject({ state: 'whole', entries: 3 })
})

test('the retention removes at the old end alone, and the chain still verifies', async () => {
  const dir = newVolume()
  let now = Date.parse('2026-05-01')
  const { signal } = new AbortController()
  await using open = await openTrail(dir, () => now)
  for (let day = 0; day < 40; day++) {
    await open.run('submit')
    now += 86_400_000
    await open.trail.prune(10, signal)
    if (day % 7 === 0) expect(await verifyVolume(dir)).toMatchObject({ state: 'whole' })
  }
  const { entries } = await open.trail.page({ command: 'submit' }, { limit: 100, before: null })
  expect(entries).toHaveLength(10)
  edit(dir, 'DELETE FROM audit WHERE number = (SELECT min(number) FROM audit)')
  expect(await verifyVolume(dir)).toMatchObject({ state: 'broken' })
})

test('a clock that is set back does not put entries out of order', async () => {
  let now = Date.parse('2026-05-02')
  await using open = await openTrail(newVolume(), () => now)
  await open.run('a')
  now -= 3_600_000
  await open.run('b')
  const { entries } = await open.trail.page({}, { limit: 2, before: null })
  expect(entries.map(({ at }) => at)).toEqual(Array(2).fill('2026-05-02T00:00:00.000Z'))
})

test('a restore begins a segment that says so, with numbers that no earlier entry has', async () => {
  const dir = await volumeWith(2)
  const copy = join(dir, 'copy.db')
  backup(dir, copy)
  {
    await using open = await openTrail(dir)
    await open.run('later')
  }
  const { previous } = restore(dir, copy)
  expect(await verifyVolume(dir)).toMatchObject({ state: 'whole' })
  await using open = await openTrail(dir)
  expect(open.trail.head).toMatchObject({ number: 8 })
  const verdict = await verifyVolume(dir)
  expect(verdict).toMatchObject({ state: 'whole', entries: 6 })
  expect(verdict.notes[0]).toContain('Entry 8: records restored from a backup')
  expect(verdict.notes[0]).toContain(previous!.slice(dir.length + 1))
})

test('entries that came from another volume are said to be uncheckable, and ours are checked', async () => {
  const copy = join(newVolume(), 'copy.db')
  backup(await volumeWith(2), copy)
  const dir = newVolume(2)
  restore(dir, copy)
  {
    await using open = await openTrail(dir)
    await open.run('ours')
  }
  const verdict = await verifyVolume(dir)
  expect(verdict).toMatchObject({ state: 'whole', entries: 8 })
  expect(verdict.notes.join(' ')).toContain('The entries from 1 to 5 came with that backup')
  // Nor may our own entries be passed off as such.
  edit(dir, `UPDATE audit SET key_id = 'other', body = '{}' WHERE number = 7`)
  expect(await verifyVolume(dir)).toMatchObject({ state: 'broken' })
})

test('the watch checks once a day, keeps the result over a start, and logs what is not whole', async () => {
  const dir = await volumeWith(2)
  let now = Date.parse('2026-05-02')
  const logged: string[] = []
  const log = openLog('error', { write: (line: string) => void logged.push(line) })
  const { signal } = new AbortController()
  await using open = await openTrail(dir)
  const start = () => TrailWatch.open({ trail: open.trail, dir, log, now: () => now })
  const watch = await start()
  expect(watch.status).toMatchObject({ checkedAt: null, head: { number: 5 } })
  await watch.look(365, signal)
  expect(watch.status.verdict).toMatchObject({ state: 'whole' })

  edit(dir, 'DELETE FROM audit WHERE number = 3')
  await watch.look(365, signal)
  expect((await start()).status.verdict).toMatchObject({ state: 'whole' })
  now += 86_400_000
  await watch.look(365, signal)
  expect(watch.status.verdict).toMatchObject({ state: 'broken' })
  expect(logged.join()).toContain('it is not whole')
})
