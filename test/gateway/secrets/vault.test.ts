import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../../gateway/src/secrets/vault.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const key = randomBytes(32)
const shop = { id: 'd1', app: 'shop' }
const value = Buffer.from([0, 255, 10, ...Buffer.from('correct-horse')])

test('a secret is decrypted unchanged, and its stored form does not resemble it', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(key))
  await vault.put('shop', 'TOKEN', value)
  const [kept] = await store.secretsOf('app:shop')
  expect(Buffer.from(kept!.sealed).includes(value.subarray(3))).toBe(false)
  expect(await vault.open(shop)).toEqual(new Map([['TOKEN', value]]))

  await vault.put('shop', 'TOKEN', value)
  const [again] = await store.secretsOf('app:shop')
  expect(again!.sealed).not.toEqual(kept!.sealed) // the same value with another nonce
  expect(await vault.list('shop')).toEqual([
    { name: 'TOKEN', createdAt: kept!.createdAt, updatedAt: again!.updatedAt },
  ])
})

test('a deployment’s own secrets override those of the app', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(key))
  await vault.put('shop', 'A', Buffer.from('of the app'))
  await vault.put('shop', 'B', Buffer.from('of the app'))
  await vault.put('blog', 'C', Buffer.from('of another'))
  for (const secret of vault.sealFor('d1', new Map([['B', Buffer.from('given')]])).secrets!)
    await store.putSecret('deployment:d1', secret)
  expect(
    [...(await vault.open(shop))].map(([name, text]) => `${name}: ${text.toString()}`),
  ).toEqual(['A: of the app', 'B: given'])
})

test('a wrong key is distinguished from damage, and neither shows a value', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(key))
  await vault.put('shop', 'TOKEN', value)
  await expect(new Vault(store, new SealingKeys(randomBytes(32))).open(shop)).rejects.toMatchObject(
    {
      code: 'secrets-unavailable',
      message: expect.stringContaining('with another key'),
    },
  )

  const [kept] = await store.secretsOf('app:shop')
  const damaged = Buffer.from(kept!.sealed)
  damaged[20]! ^= 1
  for (const sealed of [damaged, damaged.subarray(0, 5)]) {
    await store.putSecret('app:shop', { ...kept!, sealed })
    await expect(vault.open(shop)).rejects.toMatchObject({
      message: expect.stringContaining('damaged'),
    })
  }
})

test('a sealed value opens only under its own name and for its own app', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(key))
  await vault.put('shop', 'TOKEN', value)
  const [kept] = await store.secretsOf('app:shop')
  await store.putSecret('app:shop', { ...kept!, name: 'OTHER' })
  await store.putSecret('app:blog', kept!)
  for (const deployment of [shop, { id: 'd2', app: 'blog' }])
    await expect(vault.open(deployment)).rejects.toMatchObject({
      message: expect.stringContaining('damaged'),
    })
})

test('without a key no secret is stored or listed, and builds without secrets continue', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(null))
  const refused = {
    code: 'secrets-unavailable',
    message: expect.stringContaining('TARMAC_SECRETS_KEY'),
  }
  await expect(vault.put('shop', 'TOKEN', value)).rejects.toMatchObject(refused)
  await expect(vault.list('shop')).rejects.toMatchObject(refused)
  await expect(vault.remove('shop', 'TOKEN')).rejects.toMatchObject(refused)
  expect(() => vault.sealFor('d1', new Map([['A', value]]))).toThrow('TARMAC_SECRETS_KEY')
  expect(vault.sealFor('d1', new Map())).toEqual({})
  expect(await vault.open(shop)).toEqual(new Map())
  await new Vault(store, new SealingKeys(key)).put('shop', 'TOKEN', value)
  await expect(vault.open(shop)).rejects.toMatchObject(refused)
})

test('names, sizes and numbers have limits', async () => {
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(key))
  const refused = (detail: string) => ({
    code: 'secret-invalid',
    message: expect.stringContaining(detail),
  })
  for (const name of ['', '1A', 'A B', 'A/B', 'RAILPACK_START_CMD', 'A'.repeat(129)])
    await expect(vault.put('shop', name, value)).rejects.toMatchObject(
      refused('beginning with a letter'),
    )
  await expect(vault.put('shop', 'A', Buffer.alloc(0))).rejects.toMatchObject(refused('empty'))
  await expect(vault.put('shop', 'A', Buffer.alloc(65_537))).rejects.toMatchObject(
    refused('at most 64 KiB'),
  )

  await vault.put('shop', 'A', Buffer.alloc(65_536))
  await vault.put('shop', 'A', Buffer.alloc(65_535))
  await vault.put('shop', 'npm.rc-1', Buffer.alloc(1))
  await expect(vault.put('shop', 'B', value)).rejects.toMatchObject(refused('together'))
})
