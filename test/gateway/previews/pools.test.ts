import { expect, test } from 'vitest'
import type { Pool, PoolList } from '../../../api/previews/pool.ts'
import type { Preview, PreviewPage } from '../../../api/previews/preview.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { startMachines } from '../start-machines.ts'

type Gateway = Awaited<ReturnType<typeof startMachines>>
const toml = '[http_service]\ninternal_port = 8080\n'
const slow = { timeout: 10_000 }

/** A gateway with a template, an image, and a pool of both. */
async function withPool(more: object = {}, settings: Parameters<typeof startMachines>[0] = {}) {
  const gateway = await startMachines(settings)
  const image = gateway.images.put('shop', 'v1').name
  await gateway.call('PUT', '/v1/apps/shop/templates/small', { config: toml })
  const asked = { image, size: 1, ...more }
  const { status, body } = await gateway.call<Pool>('PUT', '/v1/apps/shop/pools/small', asked)
  expect([status, body]).toMatchObject([200, { app: 'shop', template: 'small', setBy: 'operator' }])
  return { ...gateway, image }
}

const poolsOf = async ({ get }: Pick<Gateway, 'get'>) => (await get<PoolList>('/v1/pools')).pools
const untilReady = (gateway: Gateway, ready: number) =>
  expect.poll(() => poolsOf(gateway), slow).toMatchObject([{ ready, problem: null }])
const ask = (gateway: Gateway & { image: string }, more: object = {}, headers = {}) =>
  gateway.call<Preview & ProblemBody>(
    'POST',
    '/v1/previews?wait=true',
    { app: 'shop', owner: 'alice', template: 'small', source: { image: gateway.image }, ...more },
    headers,
  )

test('a request takes the machine that waits, with no calls but those that show that it answers, and another one is made', async () => {
  await using gateway = await withPool()
  const { fly, get, store } = gateway
  await untilReady(gateway, 1)
  const [entry] = await store.pools.entries()
  const { flyApp } = entry!
  const [machine] = fly.machines(flyApp)
  expect(machine).toMatchObject({ state: 'suspended', cordoned: true })
  expect(machine!.config.metadata).not.toHaveProperty('tarmac_preview_owner')
  expect((await get<PreviewPage>('/v1/previews')).previews).toEqual([])
  expect(store.previews.countLiving()).toBe(0) // it keeps nothing awake
  expect((await gateway.call('GET', `/v1/previews/${entry!.id}`)).status).toBe(404)

  const from = fly.calls.length
  const { status, body } = await ask(gateway, { ttlSeconds: 600 })
  expect([status, body]).toMatchObject([
    201,
    { id: entry!.id, owner: 'alice', state: 'ready', fromPool: true, flyApp },
  ])
  expect(Date.parse(body.expiresAt) - Date.now()).toBeLessThan(600_001)
  expect(machine).toMatchObject({ state: 'started', cordoned: false })
  const path = `/apps/${flyApp}/machines/${machine!.id}`
  const marks = `POST ${path}/metadata`
  const calls = fly.calls.slice(from).filter((call) => call.includes(flyApp))
  const own = calls.filter((call) => !call.startsWith(marks)).map((call) => call.split('?')[0])
  expect(own[0]).toBe(`POST ${path}/start`)
  expect(own.length).toBe(5)
  expect(own).toEqual(
    expect.arrayContaining([
      `POST ${path}/uncordon`,
      ...['', '/ps', '/wait'].map((part) => `GET ${path}${part}`),
    ]),
  )
  await expect
    .poll(() => machine!.config.metadata, slow)
    .toMatchObject({ tarmac_preview_owner: 'alice', tarmac_preview_ends: body.expiresAt })
  const { preview } = (await store.find(body.deployment))!
  expect(preview).toMatchObject({ owner: 'alice', expiresAt: body.expiresAt })

  await untilReady(gateway, 1)
  expect(await poolsOf(gateway)).toMatchObject([{ claimedToday: 1 }])
  expect((await store.pools.entries()).map(({ id }) => id)).not.toContain(body.id)
}, 20_000)

test('of two requests for the last one, one gets it, and the other goes the ordinary way', async () => {
  await using gateway = await withPool()
  await untilReady(gateway, 1)
  const owners = ['alice', 'bob', 'carol']
  const answers = await Promise.all(owners.map((owner) => ask(gateway, { owner })))
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
  expect(answers.filter(({ body }) => body.fromPool).length).toBe(1)
  expect(new Set(answers.map(({ body }) => body.flyApp)).size).toBe(3)
}, 20_000)

test('a request with its own environment, secrets, region or version of the template does not fit', async () => {
  await using gateway = await withPool()
  await gateway.call('PUT', '/v1/apps/shop/templates/other', { config: toml })
  await untilReady(gateway, 1)
  const image = gateway.images.put('shop', 'v2').name
  let number = 0
  for (const more of [
    { env: { A: '1' } },
    { region: 'ams' },
    { template: 'other' },
    { template: null },
    { source: { image } },
    { commit: 'abc' },
  ]) {
    const { status, body } = await ask(gateway, { ...more, owner: `owner-${number++}` })
    expect([more, status, body.fromPool]).toEqual([more, 201, false])
  }
  expect((await ask(gateway, { template: 'small@1' })).body).toMatchObject({ fromPool: true })
}, 30_000)

test('the limits of an owner hold for what comes from a pool, and what waits counts for nobody', async () => {
  await using gateway = await withPool({ size: 2 })
  await untilReady(gateway, 2)
  const own = []
  for (let each = 0; each < 3; each++) own.push((await ask(gateway)).body.id)
  const refused = await ask(gateway)
  expect([refused.status, refused.body.code]).toEqual([429, 'preview-limit'])
  await untilReady(gateway, 2)
  const { body } = await ask(gateway, { evict: 'oldest' })
  expect(body.fromPool).toBe(true)
  expect(await gateway.get<Preview>(`/v1/previews/${own[0]}`)).toMatchObject({
    ending: { why: 'evicted' },
  })
}, 30_000)

test('one that does not start is destroyed, and its request goes the ordinary way with its idempotency key', async () => {
  await using gateway = await withPool()
  const { fly, store } = gateway
  await untilReady(gateway, 1)
  const [entry] = await store.pools.entries()
  fly.apps.get(entry!.flyApp)!.machines.clear()
  const key = { 'idempotency-key': 'one' }
  const { status, body } = await ask(gateway, {}, key)
  expect([status, body.fromPool]).toEqual([201, false])
  expect((await ask(gateway, {}, key)).body.id).toBe(body.id)
  await expect.poll(() => fly.apps.has(entry!.flyApp), slow).toBe(false)
}, 20_000)

test('an idempotency key returns what the request took, also when it is sent twice at once', async () => {
  await using gateway = await withPool({ size: 2 })
  await untilReady(gateway, 2)
  const key = { 'idempotency-key': 'one' }
  const both = await Promise.all([ask(gateway, {}, key), ask(gateway, {}, key)])
  const again = await ask(gateway, {}, key)
  const ids = [...both, again].map(({ status, body }) => [status, body.id, body.state])
  expect(ids).toEqual([ids[0], ids[0], ids[0]])
  expect(ids[0]).toMatchObject([201, expect.any(String), 'ready'])
  expect(both[0].body.fromPool).toBe(true)
}, 20_000)

test('what waits is replaced when its template or its image changes, and removed with its pool', async () => {
  await using gateway = await withPool({}, { sweepMs: 50 })
  const { store, images, call, fly } = gateway
  await untilReady(gateway, 1)
  const fits = async () => (await store.pools.entries()).map((entry) => [entry.state, entry.fits])
  const [[, first]] = (await fits()) as [[string, string]]
  await call('PUT', '/v1/apps/shop/templates/small', {
    config: `${toml}auto_stop_machines = "stop"\n`,
  })
  await expect.poll(fits, slow).toEqual([['suspended', first.replace('small@1', 'small@2')]])
  const moved = images.put('shop', 'v1')
  await expect.poll(fits, slow).toEqual([['suspended', `small@2 ${moved.digest} -`]])

  expect((await call('DELETE', '/v1/apps/shop/pools/small')).status).toBe(200)
  await expect.poll(fits, slow).toEqual([])
  expect([...fly.apps.keys()].filter((app) => app.startsWith('shop-pv-'))).toEqual([])
  const again = await call<ProblemBody>('DELETE', '/v1/apps/shop/pools/small')
  expect([again.status, again.body.code]).toEqual([404, 'pool-not-found'])
}, 30_000)

test('one that ran after it had rested, or that somebody had, never waits again', async () => {
  await using gateway = await withPool({}, { sweepMs: 50 })
  const { store, fly } = gateway
  const idOf = async () => (await store.pools.entries()).map(({ id, state }) => [id, state])
  await untilReady(gateway, 1)
  const [waiting] = await store.pools.entries()
  const start = `/v1/apps/${waiting!.flyApp}/machines/${fly.machines(waiting!.flyApp)[0]!.id}/start`
  expect((await gateway.call<ProblemBody>('POST', start)).body.code).toBe('app-busy')
  for (const used of ['started', 'owned'] as const) {
    const [entry] = await store.pools.entries()
    const machine = fly.machines(entry!.flyApp)[0]!
    if (used === 'started') Object.assign(machine, { state: 'started', cordoned: false })
    else machine.config.metadata = { ...machine.config.metadata, tarmac_preview_owner: 'eve' }
    await expect.poll(idOf, slow).not.toContainEqual([entry!.id, expect.anything()])
    await untilReady(gateway, 1)
  }
}, 30_000)

test('a pool of nothing, of too many or of another registry is refused, and a failure is in the list', async () => {
  await using gateway = await withPool({ size: 4 })
  const { call, images } = gateway
  const image = images.put('shop', 'v1').name
  const set = (template: string, pool: object) =>
    call<ProblemBody>('PUT', `/v1/apps/shop/pools/${template}`, { image, size: 1, ...pool })
  expect((await set('none', {})).body.code).toBe('template-not-found')
  expect((await set('small', { size: 5 })).body).toMatchObject({
    code: 'option-invalid',
    detail: expect.stringContaining('all together may have 4'),
  })
  expect((await set('small', { image: 'nginx:1.27' })).body.code).toBe('option-invalid')
  expect((await set('small', { image: `${image}-gone` })).body.code).toBe('image-gone')
}, 20_000)

test('a pool that cannot be filled says why, and is filled once it can be', async () => {
  await using gateway = await withPool({ size: 2 }, { sweepMs: 50 })
  const { call, get } = gateway
  await untilReady(gateway, 2)
  await call('DELETE', '/v1/apps/shop/templates/small')
  expect((await ask(gateway, { template: 'small@1' })).body.fromPool).toBe(true)
  await expect
    .poll(() => poolsOf(gateway), slow)
    .toMatchObject([{ ready: 1, problem: { code: 'template-not-found' } }])

  await call('PUT', '/v1/apps/shop/templates/small', { config: toml })
  await untilReady(gateway, 2) // after a pause
  expect((await get<PoolList>('/v1/pools?app=shop')).pools.length).toBe(1)
  expect((await get<PoolList>('/v1/pools?app=blog')).pools).toEqual([])
}, 20_000)
