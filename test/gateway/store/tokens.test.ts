import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import type { NewStoredToken } from '../../../gateway/src/deployments/callers/token-store.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const link: NewStoredToken = {
  id: 'link00000001',
  kind: 'deploy-link',
  name: 'link-1',
  scopes: ['deploy'],
  apps: ['shop'],
  owners: null,
  team: null,
  hash: new Uint8Array(32).fill(1),
  createdAt: '2026-11-30T12:00:00.000Z',
  createdBy: 'operator',
  createdByToken: null,
  expiresAt: '2026-11-30T12:15:00.000Z',
}
const fresh = (id: string, more: object = {}) => ({
  id,
  app: 'shop',
  options: DeploymentOptions.parse({}),
  source: { digest: 'sha256:aa', files: 1, sizeBytes: 2 },
  link: link.id,
  ...more,
})
const path = () => join(mkdtempSync(join(tmpdir(), 'tarmac-store-')), 'tarmac.db')

test('a deploy link is used with the record of its deployment, and both survive a restart', async () => {
  const file = path()
  {
    await using store = openSqliteStore(file)
    await store.tokens.add(link)
    await store.create(fresh('d1', { idempotencyKey: 'k1' }))
  }
  await using store = openSqliteStore(file)
  expect(await store.tokens.all()).toMatchObject([{ ...link, deployment: 'd1' }])
  expect(await store.create(fresh('d2', { idempotencyKey: 'k1' }))).toMatchObject({ id: 'd1' })
  for (const idempotencyKey of [null, 'k2'])
    await expect(store.create(fresh('d3', { idempotencyKey }))).rejects.toMatchObject({
      code: 'token-used',
    })
  expect((await store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(1)
})

test('a deployment that is refused leaves its deploy link unused', async () => {
  await using store = openSqliteStore(':memory:')
  await store.tokens.add(link)
  await store.create(fresh('d1', { link: null }))
  const options = DeploymentOptions.parse({ lane: 'reject' })
  await expect(store.create(fresh('d2', { options }))).rejects.toMatchObject({ code: 'lane-busy' })
  expect(await store.tokens.all()).toMatchObject([{ deployment: null }])
})

test('a deploy link gets no deployment that another caller made with the same key', async () => {
  await using store = openSqliteStore(':memory:')
  await store.tokens.add(link)
  await store.create(fresh('d1', { link: null, idempotencyKey: 'k1' }))
  await expect(store.create(fresh('d2', { idempotencyKey: 'k1' }))).rejects.toMatchObject({
    code: 'idempotency-mismatch',
  })
  expect(await store.tokens.all()).toMatchObject([{ deployment: null }])
})

test('a damaged record of a token proves nobody, and affects no other', async () => {
  const file = path()
  await using store = openSqliteStore(file)
  for (const id of ['a', 'b', 'c', 'd']) await store.tokens.add({ ...link, id })
  using db = new DatabaseSync(file)
  db.exec(`UPDATE tokens SET body = '{' WHERE id = 'a'; UPDATE tokens SET hash = x'01' WHERE id = 'b';
    UPDATE tokens SET body = json_set(body, '$.apps', 'shop') WHERE id = 'c'`)
  expect((await store.tokens.all()).map(({ id }) => id)).toEqual(['d'])
})
