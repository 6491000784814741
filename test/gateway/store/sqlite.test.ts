import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { storeContract } from './contract.ts'

storeContract((now) => openSqliteStore(':memory:', now))

test('records and logs are there after a restart', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')
  {
    await using store = openSqliteStore(file)
    await store.create({ id: 'd1', app: 'shop', options: DeploymentOptions.parse({}), source: null })
  }
  await using again = openSqliteStore(file)
  expect(await again.find('d1')).toMatchObject({ state: 'pending' })
  expect(await again.eventsAfter('d1', 0, 9)).toHaveLength(1)
})

test('a database of a newer gateway is refused and left as it is', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')
  const newer = new DatabaseSync(file)
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  expect(() => openSqliteStore(file)).toThrow('start a newer gateway')
})
