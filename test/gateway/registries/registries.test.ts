import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readAddress } from '../../../api/registries/address.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { Logins } from '../../../gateway/src/registries/logins.ts'
import { Registries } from '../../../gateway/src/registries/registries.ts'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const sealing = new SealingKeys(randomBytes(32))
const log = openLog('silent')
const teams: Record<string, string> = { shop: 'acme', blog: 'default' }

async function open(
  store: ReturnType<typeof openSqliteStore>,
  more: { now?: () => number; sealing?: SealingKeys } = {},
) {
  const teamOf = (app: string) => teams[app] ?? 'default'
  return Registries.open({ store: store.registries, sealing, teamOf, log, ...more })
}

async function add(
  registries: Registries,
  id: string,
  address: string,
  team: string | null = null,
) {
  const at = readAddress(address)
  const facts = { createdAt: '2026-01-01T00:00:00.000Z', createdBy: 'operator' }
  return registries.add({
    id,
    ...at,
    team,
    username: id,
    ...facts,
    rotatedAt: null,
    lastTest: null,
    lastUsedAt: null,
    password: registries.seal({ id, ...at }, `password of ${id}`),
  })
}

test('the longest beginning wins, then the team’s own login, and other teams get none', async () => {
  await using store = openSqliteStore(':memory:')
  const registries = await open(store)
  await add(registries, 'host', 'ghcr.io')
  await add(registries, 'velocity', 'ghcr.io/velocity')
  await add(registries, 'web', 'ghcr.io/velocity/web')
  await add(registries, 'of-acme', 'ghcr.io/velocity', 'acme')
  await add(registries, 'hub', 'docker.io')
  await add(registries, 'secret', 'quay.io/acme', 'acme')
  const user = (app: string, host: string, repository: string) =>
    registries.login(app, { host, repository })?.username ?? null
  expect(user('blog', 'ghcr.io', 'other/x')).toBe('host')
  expect(user('blog', 'ghcr.io', 'velocity/x')).toBe('velocity')
  expect(user('shop', 'ghcr.io', 'velocity/x')).toBe('of-acme')
  expect(user('shop', 'ghcr.io', 'velocity/web')).toBe('web')
  expect(user('shop', 'ghcr.io', 'velocity/webhooks')).toBe('of-acme')
  expect(user('blog', 'registry-1.docker.io', 'library/node')).toBe('hub')
  expect([user('shop', 'quay.io', 'acme/x'), user('blog', 'quay.io', 'acme/x')]).toEqual([
    'secret',
    null,
  ])
  expect(registries.login('shop', { host: 'quay.io', repository: 'acme/x' })).toEqual({
    username: 'secret',
    password: 'password of secret',
  })
  expect(registries.passwordsOf('blog').toSorted()).toEqual(
    ['host', 'hub', 'velocity', 'web'].map((id) => `password of ${id}`),
  )
})

test('logins outlive a restart, one for an address and team, and a removal leaves no password', async () => {
  await using store = openSqliteStore(':memory:')
  const registries = await open(store)
  expect(await add(registries, 'one', 'ghcr.io/velocity')).toBe(true)
  expect(await add(registries, 'two', 'ghcr.io/velocity')).toBe(false)
  expect(await add(registries, 'three', 'ghcr.io/velocity', 'acme')).toBe(true)

  const again = await open(store)
  const image = { host: 'ghcr.io', repository: 'velocity/x' }
  expect(again.login('blog', image)?.password).toBe('password of one')
  expect(await again.remove('one')).toBe(true)
  expect(await again.remove('one')).toBe(false)
  expect(again.login('blog', image)).toBeNull()
  expect(await store.secretsOf('registry:one')).toEqual([])
  expect(await store.secretsOf('registry:two')).toEqual([])
})

test('a password opens only for its own login, and without its key the problem names it', async () => {
  await using store = openSqliteStore(':memory:')
  await add(await open(store), 'one', 'ghcr.io/velocity')
  const image = { host: 'ghcr.io', repository: 'velocity/x' }

  const other = await open(store, { sealing: new SealingKeys(randomBytes(32)) })
  expect(() => other.login('blog', image)).toThrow(
    'The password for ghcr.io/velocity was encrypted',
  )
  expect(other.passwordsOf('blog')).toEqual([])

  await add(await open(store), 'two', 'quay.io')
  const [sealed] = await store.secretsOf('registry:one')
  await store.putSecret('registry:two', sealed!)
  const damaged = await open(store)
  expect(() => damaged.login('blog', { host: 'quay.io', repository: 'x' })).toThrow('is damaged')
})

test('the last use is noted, at most once a minute', async () => {
  await using store = openSqliteStore(':memory:')
  let now = Date.parse('2026-05-04T12:00:00Z')
  const registries = await open(store, { now: () => now })
  await add(registries, 'one', 'ghcr.io')
  const used = async () => {
    registries.login('blog', { host: 'ghcr.io', repository: 'x' })
    return (await store.registries.all())[0]!.lastUsedAt
  }
  expect(await used()).toBe('2026-05-04T12:00:00.000Z')
  now += 30_000
  expect(await used()).toBe('2026-05-04T12:00:00.000Z')
  now += 30_000
  expect(await used()).toBe('2026-05-04T12:01:00.000Z')
})

test('a docker config wins over a stored login, and the gateway’s own registry has its own', async () => {
  await using store = openSqliteStore(':memory:')
  const registries = await open(store)
  await add(registries, 'stored', 'ghcr.io')
  await add(registries, 'quay', 'quay.io/acme')
  const dockerConfig = join(mkdtempSync(join(tmpdir(), 'tarmac-docker-')), '{app}.json')
  const auths = { 'ghcr.io': { auth: btoa('given:by-file') } }
  writeFileSync(dockerConfig.replace('{app}', 'shop'), JSON.stringify({ auths }))
  const logins = new Logins({
    registry: 'registry.fly.io',
    dockerConfig,
    mirror: { origin: 'off' },
    secrets: { fly: 'fly-token' },
  })
  expect(logins.loginFor('blog', 'ghcr.io')).toBeNull() // the records are not open yet
  logins.use(registries)
  const login = (app: string, host: string, repository = 'acme/x') =>
    logins.registryLogin(app, { host, repository })
  expect(await login('shop', 'ghcr.io')).toEqual({ username: 'given', password: 'by-file' })
  expect(await login('blog', 'ghcr.io')).toMatchObject({ username: 'stored' })
  expect(await login('blog', 'quay.io')).toMatchObject({ username: 'quay' })
  expect(await login('blog', 'quay.io', 'other')).toBeNull()
  expect(logins.loginFor('blog', 'quay.io')).toBeNull()
  expect(await login('blog', 'registry.fly.io')).toEqual({ username: 'x', password: 'fly-token' })
})
