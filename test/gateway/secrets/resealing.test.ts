import { spawnSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { sealingLines } from '../../../api/sealing/sealing.ts'
import { Resealing } from '../../../gateway/src/secrets/resealing.ts'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../../gateway/src/secrets/vault.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const [first, second, third] = [randomBytes(32), randomBytes(32), randomBytes(32)]
const never = new AbortController().signal
type Store = ReturnType<typeof openSqliteStore>

function logged() {
  const errors: string[] = []
  const error = (facts: object) => void errors.push(JSON.stringify(facts))
  return {
    errors,
    log: { info: () => {}, error } as unknown as Parameters<typeof Resealing.open>[0]['log'],
  }
}
const open = (store: Store, sealing: SealingKeys, now?: () => number) =>
  Resealing.open({ store: store.sealed, sealing, log: logged().log, ...(now && { now }) })

const values = (count: number) =>
  new Map(Array.from({ length: count }, (_, at) => [`K${at}`, Buffer.from(`value ${at}`)]))

/** Values of two apps and one deployment, and a login's. */
async function fill(store: Store, key: Buffer): Promise<void> {
  const sealing = new SealingKeys(key)
  const vault = new Vault(store, sealing)
  for (const app of ['shop', 'blog'])
    await vault.change(
      app,
      new Map([...values(60)].map(([name, value]) => [name, value.toString()])),
    )
  for (const secret of vault.sealFor('d1', values(10)).secrets!)
    await store.putSecret('deployment:d1', secret)
  const place = { owner: 'registry:r1', name: 'password' } as const
  await store.putSecret('registry:r1', {
    name: 'password',
    ...sealing.seal(place, Buffer.from('pw')),
  })
}

/** Everything opens with these keys, and has the value that it had. */
async function expectWhole(store: Store, sealing: SealingKeys): Promise<void> {
  const vault = new Vault(store, sealing)
  for (const app of ['shop', 'blog'])
    expect(await vault.open({ id: 'none', app })).toEqual(values(60))
  expect(await vault.open({ id: 'd1', app: 'none' })).toEqual(values(10))
  const [password] = await store.secretsOf('registry:r1')
  const place = { owner: 'registry:r1', name: 'password' }
  expect(sealing.open(place, password!).toString()).toBe('pw')
}

test('with the new key and the old one everything opens at any moment, and then with the new one alone', async () => {
  await using store = openSqliteStore(':memory:')
  await fill(store, first)
  const before = await store.secretsOf('app:shop')
  const both = new SealingKeys(second, [first])
  const resealing = await open(store, both)
  expect(await resealing.status()).toMatchObject({ values: 131, oldKeys: 1, withOldKeys: 131 })
  await expectWhole(store, both)

  await resealing.run(never)
  expect(await resealing.status()).toMatchObject({ values: 131, withOldKeys: 0, problem: null })
  await expectWhole(store, both)
  await expectWhole(store, new SealingKeys(second))

  // What users see of a secret does not change.
  const facts = ({ name, createdAt, updatedAt }: (typeof before)[number]) => [
    name,
    createdAt,
    updatedAt,
  ]
  expect((await store.secretsOf('app:shop')).map(facts)).toEqual(before.map(facts))
})

test('several rotations in a row need all keys that still seal something', async () => {
  await using store = openSqliteStore(':memory:')
  await fill(store, first)
  await new Vault(store, new SealingKeys(second)).put('shop', 'K0', Buffer.from('value 0'))
  const all = new SealingKeys(third, [second, first])
  await expectWhole(store, all)
  await (await open(store, all)).run(never)
  await expectWhole(store, new SealingKeys(third))
})

test.each(['before', 'after'] as const)(
  'a gateway killed %s any batch is written loses nothing, and the next one ends the work',
  { timeout: 30_000 },
  async (when) => {
    const dir = mkdtempSync(join(tmpdir(), 'tarmac-reseal-'))
    const path = join(dir, 'tarmac.db')
    {
      await using store = openSqliteStore(path)
      await fill(store, first)
    }
    const child = join(import.meta.dirname, 'reseal-and-die.ts')
    const run = (batch: number) =>
      spawnSync(
        process.execPath,
        [child, path, second.toString('hex'), first.toString('hex'), when, String(batch)],
        { encoding: 'utf8' },
      )
    const left: number[] = []
    for (const batch of [1, 2, 1]) {
      const { signal, stdout, stderr } = run(batch)
      await using store = openSqliteStore(path)
      const sealing = new SealingKeys(second, [first])
      await expectWhole(store, sealing)
      left.push((await (await open(store, sealing)).status()).withOldKeys)
      if (left.at(-1) === 0) expect([signal, stdout, stderr].join()).toMatch(/SIGKILL|done/)
      else expect([signal, stderr]).toEqual(['SIGKILL', ''])
    }
    expect(left).toEqual(when === 'before' ? [131, 81, 81] : [81, 0, 0])
    expect(run(9).stdout).toBe('done\n')
    {
      await using store = openSqliteStore(path)
      await expectWhole(store, new SealingKeys(second))
    }
    rmSync(dir, { recursive: true })
  },
)

test('a value that is stored meanwhile is not replaced by the one before', async () => {
  await using store = openSqliteStore(':memory:')
  const both = new SealingKeys(second, [first])
  await new Vault(store, new SealingKeys(first)).put('shop', 'A', Buffer.from('before'))
  const { sealed } = store
  const resealing = await Resealing.open({
    store: {
      countByKey: () => sealed.countByKey(),
      useKey: (id) => sealed.useKey(id),
      async sealedByOthers(...asked) {
        const found = await sealed.sealedByOthers(...asked)
        if (found.length > 0) await new Vault(store, both).put('shop', 'A', Buffer.from('after'))
        return found
      },
      reseal: (all) => sealed.reseal(all),
    },
    sealing: both,
    log: logged().log,
  })
  await resealing.run(never)
  expect((await new Vault(store, both).open({ id: 'x', app: 'shop' })).get('A')?.toString()).toBe(
    'after',
  )
})

test('an old key that is dropped too early is an error that names what cannot be opened', async () => {
  await using store = openSqliteStore(':memory:')
  await fill(store, first)
  const { errors, log } = logged()
  const resealing = await Resealing.open({
    store: store.sealed,
    sealing: new SealingKeys(second),
    log,
  })
  const { problem, withOldKeys } = await resealing.status()
  expect(withOldKeys).toBe(0)
  expect(problem).toContain('131 sealed values cannot be opened')
  expect(problem).toContain('app blog: K0')
  expect(problem).toContain('and 121 more')
  expect(problem).toContain('Nothing was deleted. Add the key to TARMAC_SECRETS_OLD_KEYS')
  expect(errors.join()).toContain('131 sealed values')

  await resealing.run(never)
  await expect(
    new Vault(store, new SealingKeys(second)).open({ id: 'x', app: 'shop' }),
  ).rejects.toThrow('add that key to TARMAC_SECRETS_OLD_KEYS')
  await expectWhole(store, new SealingKeys(second, [first]))
})

test('a damaged value stays as it is, is named in the log, and stops no other', async () => {
  await using store = openSqliteStore(':memory:')
  await fill(store, first)
  const [kept] = await store.secretsOf('app:blog')
  await store.putSecret('app:blog', { ...kept!, sealed: kept!.sealed.subarray(0, 20) })
  const { errors, log } = logged()
  const sealing = new SealingKeys(second, [first])
  const resealing = await Resealing.open({ store: store.sealed, sealing, log })
  await resealing.run(never)
  expect((await resealing.status()).withOldKeys).toBe(1)
  expect(errors.join()).toContain('K0')
})

test('the status says when old keys may go: not before requests of their day have ended', async () => {
  await using store = openSqliteStore(':memory:')
  await fill(store, first)
  let now = Date.now()
  const resealing = await open(store, new SealingKeys(second, [first]), () => now)
  const lines = async () => sealingLines(await resealing.status()).slice(1)
  expect(await lines()).toEqual(['131 still sealed with the old key: keep TARMAC_SECRETS_OLD_KEYS'])
  await resealing.run(never)
  expect((await lines())[0]).toMatch(/^no value needs the old key; repeated requests may until /)
  now += 25 * 3_600_000
  expect(await lines()).toEqual(['nothing needs the old key: remove TARMAC_SECRETS_OLD_KEYS'])
  expect(
    (await (await open(store, new SealingKeys(second))).status()).oldKeysNeededUntil,
  ).toBeNull()
})

test('without a key nothing is sealed again, and the status says so', async () => {
  await using store = openSqliteStore(':memory:')
  const resealing = await open(store, new SealingKeys(null))
  await resealing.run(never)
  expect(sealingLines(await resealing.status())).toEqual([
    '0 sealed values; no key: TARMAC_SECRETS_KEY is not set',
  ])
  await fill(store, first)
  expect((await resealing.status()).problem).toContain('Set TARMAC_SECRETS_KEY to it')
})

test('a request that is repeated after a rotation gets its deployment, and another one is refused', async () => {
  await using store = openSqliteStore(':memory:')
  const submit = (vault: Vault, id: string, value: string) =>
    store.create({
      id,
      app: 'shop',
      options: DeploymentOptions.parse({}),
      source: { digest: 'sha256:aa', files: 1, sizeBytes: 1 },
      idempotencyKey: 'k',
      ...vault.sealFor(id, new Map([['A', Buffer.from(value)]])),
    })
  const { id } = await submit(new Vault(store, new SealingKeys(first)), randomUUID(), 'one')
  const rotated = new Vault(store, new SealingKeys(third, [second, first]))
  expect((await submit(rotated, randomUUID(), 'one')).id).toBe(id)
  await expect(submit(rotated, randomUUID(), 'two')).rejects.toMatchObject({
    code: 'idempotency-mismatch',
  })
})
