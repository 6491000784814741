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

test('a late, older deployment never lands over a newer one of its lane, whatever let it come so far', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')
  await using store = openSqliteStore(file)
  const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
  const create = (id: string, owner: string | null = null, built: typeof image | null = null) =>
    store.create({ id, app: 'shop', options: DeploymentOptions.parse({ owner }), source: null, image: built })
  await create('d1')
  const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
  await store.advance(holder, 'fetching', 'analyzing')
  await store.advance(holder, 'analyzing', 'building')
  await create('d2', null, image)
  await create('d3', 'alice', image)
  await create('d4')
  await create('d5', 'alice')
  using fault = new DatabaseSync(file)
  fault.exec(`UPDATE deployments SET state = 'pending', ended_at = NULL WHERE id = 'd2'`)
  fault.exec(`UPDATE deployments SET state = 'live', ended_at = '2026' WHERE id = 'd4'`)
  expect(await store.advance(holder, 'building', 'deploying')).toBe(false)
  expect(await store.find('d1')).toMatchObject({ state: 'superseded', supersededBy: 'd4' })
  expect((await store.claim())?.deployment.id).toBe('d5')
  expect(await store.claim()).toBeNull()
  expect(await store.find('d2')).toMatchObject({ state: 'superseded', problem: { code: 'superseded' } })
  await create('d6')
  expect((await store.claim())?.deployment).toMatchObject({ id: 'd6', state: 'fetching' })
  await create('d7')
  fault.exec(`UPDATE deployments SET state = 'live', ended_at = '2026' WHERE id = 'd7'`)
  await store.recover('The gateway was killed')
  expect(await store.find('d6')).toMatchObject({ state: 'superseded', supersededBy: 'd7' })
})

test('a database of a newer gateway is refused and left as it is', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')
  const newer = new DatabaseSync(file)
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  expect(() => openSqliteStore(file)).toThrow('start a newer gateway')
})
